/* SPDX-License-Identifier: ISC */
/*
 * ESMTP parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152),
 * SMTPUTF8 (RFC 6531), REQUIRETLS (RFC 8689), PRDR (draft-hall-prdr-00), and the xtext coding of RFC 3461.
 * Pure; used by the role front.
 */
#ifndef PW_SMTP_PARAM_H
#define PW_SMTP_PARAM_H

#include "base/bytes.h"

struct pw_mail_param {
	bool has_size;
	uint64_t size; /* octets, as declared; more than fits is UINT64_MAX */
	bool has_body;
	bool eightbit; /* BODY=8BITMIME */
	bool smtputf8;
	bool requiretls;
	bool prdr; /* replies for each recipient are understood */
};

enum pw_param_fault {
	PW_PARAM_OK = 0,
	PW_PARAM_SYNTAX,  /* not "keyword[=value]" set apart by spaces */
	PW_PARAM_UNKNOWN, /* a keyword that we did not announce: 555 */
	PW_PARAM_VALUE,   /* a value that the keyword cannot have: 501 */
	PW_PARAM_TWICE    /* a keyword given twice: 501 */
};

/*
 * Parses what follows the path of MAIL: nothing, or a space and parameters.
 * The keyword REQUIRETLS is known only with REQUIRETLS.  At most 32 parameters.
 */
enum pw_param_fault pw_param_mail(struct pw_bytes in, bool requiretls,
    struct pw_mail_param *out);
/* The same for RCPT, which knows none. */
enum pw_param_fault pw_param_rcpt(struct pw_bytes in);

/*
 * Decodes xtext (RFC 3461 section 4) into OUT of SIZE octets.  Returns the
 * length, or -1 when it is not xtext, does not fit, or decodes to a control
 * character.
 */
ptrdiff_t pw_xtext_decode(struct pw_bytes in, char *out, size_t size);

#endif
