/* SPDX-License-Identifier: ISC */
/*
 * The one form in which addresses are kept and compared: domain as lower-case
 * A-labels (RFC 5891), local part lower-case in Unicode's form NFC.  Used by
 * accounts, by the snapshot's lookups in front, and for the hashes by which
 * decisions are traced.  Any thread; nothing is allocated for ASCII.
 */
#ifndef PW_STORAGE_ADDRESS_H
#define PW_STORAGE_ADDRESS_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/valid.h"

#define PW_ADDR_DOMAIN_SIZE 256 /* with NUL */
#define PW_ADDR_LOCAL_SIZE 256
#define PW_ADDR_SIZE 512

/* Writes the form of IN to OUT, NUL-terminated; its length, or -1 when DNS
 * cannot hold it (labels of 1..63 letters, digits, hyphens, underscores; 253 in
 * all; the last label not all digits).  A trailing dot is taken off. */
ssize_t pw_addr_domain(struct pw_bytes in, char out[PW_ADDR_DOMAIN_SIZE]);
/* The same for an unquoted local part; -1 when it is empty, too long or not
 * UTF-8.  Says nothing of which characters it holds. */
ssize_t pw_addr_local(struct pw_bytes in, char out[PW_ADDR_LOCAL_SIZE]);
/* LOCAL@DOMAIN, split at the last '@'.  -1 as above. */
ssize_t pw_addr_whole(struct pw_bytes in, char out[PW_ADDR_SIZE]);
/* As pw_addr_whole(), but what is no address gives itself in lower case, cut
 * off at PW_ADDR_SIZE - 1 bytes: for keys of records. */
struct pw_bytes pw_addr_key(struct pw_bytes in, char out[PW_ADDR_SIZE]);
/* Hash of an address in that form, or of a Message-ID, as an SQLite integer. */
int64_t pw_key_hash(const uint8_t key[16], struct pw_bytes text);
/* The /24 or /64 that IP lies in: what is counted, merged and found together;
 * *bits (may be NULL) is its length. */
struct pw_ip pw_addr_network(const struct pw_ip *ip, uint8_t *bits);
/* Hash of that network. */
int64_t pw_network_hash(const uint8_t key[16], const struct pw_ip *ip);

#endif
