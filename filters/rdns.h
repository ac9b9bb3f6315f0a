/* SPDX-License-Identifier: ISC */
/*
 * What the form of a reverse name tells.  Pure; any role.
 */
#ifndef PW_FILTERS_RDNS_H
#define PW_FILTERS_RDNS_H

#include "base/valid.h"

/*
 * True when NAME (lower-case) holds IP itself, so that some program made it up
 * for a whole network: the four octets of IPv4 in either order, in decimal, set
 * apart or zero-padded, or in hexadecimal; of IPv6 the last 64 bits.
 */
bool pw_rdns_is_generic(const char *name, const struct pw_ip *ip);

#endif
