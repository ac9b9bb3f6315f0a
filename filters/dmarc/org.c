/* SPDX-License-Identifier: ISC */
/*
 * Domain names as DMARC compares them, and organizational domains by the public
 * suffix list (RFC 7489 section 3.2), for who prefers that to the tree walk.
 */
#include <idn2.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/valid.h"
#include "filters/dmarc/dmarc.h"

/* U-labels, or a mixture, to A-labels in OUT. */
static int
to_a_labels(struct pw_bytes in, char out[PW_DNS_NAME_SIZE])
{
	uint8_t text[1024], *a = NULL;
	size_t n;

	if (in.len >= sizeof(text) || pw_bytes_chr(in, '\0') >= 0 ||
	    !pw_is_utf8(in))
		return -1;
	memcpy(text, in.ptr, in.len);
	text[in.len] = '\0';
	if (idn2_lookup_u8(text, &a, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
	    IDN2_OK)
		return -1;
	n = strlen((const char *)a);
	if (n < PW_DNS_NAME_SIZE)
		memcpy(out, a, n + 1);
	idn2_free(a);
	return n < PW_DNS_NAME_SIZE ? 0 : -1;
}

int
pw_dmarc_domain(struct pw_bytes name, char out[PW_DNS_NAME_SIZE])
{
	struct pw_bytes checked;

	out[0] = '\0';
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len >= 1024)
		return -1;
	if (!pw_is_ascii(name)) {
		if (to_a_labels(name, out) < 0)
			return -1;
	} else if (name.len < PW_DNS_NAME_SIZE) {
		memcpy(out, name.ptr, name.len);
		out[name.len] = '\0';
	}
	if (pw_valid_hostname(pw_peer(pw_bytes_of(out)), true, &checked) < 0) {
		out[0] = '\0';
		return -1;
	}
	for (char *p = out; *p != '\0'; p++)
		*p = (char)pw_lower(*p);
	return 0;
}

bool
pw_dmarc_within(const char *domain, const char *top)
{
	size_t n = strlen(domain), t = strlen(top);

	return t > 0 && n >= t && memcmp(domain + n - t, top, t) == 0 &&
	    (n == t || domain[n - t - 1] == '.');
}

/* ---- the list ------------------------------------------------------------------ */

struct pw_dmarc_psl {
	psl_ctx_t *ctx;
};

int
pw_dmarc_psl_new(const char *file, struct pw_dmarc_psl **out, char *err,
    size_t errlen)
{
	psl_ctx_t *ctx = file[0] != '\0' ? psl_load_file(file) :
	    psl_latest(NULL);

	*out = NULL;
	if (ctx == NULL || psl_suffix_count(ctx) == 0) {
		psl_free(ctx);
		snprintf(err, errlen, "the public suffix list %s cannot be "
		    "read; name another in psl-file, or take "
		    "organizational-domain=tree-walk",
		    file[0] != '\0' ? file : "of the system");
		return -1;
	}
	*out = pw_xcalloc(1, sizeof(**out));
	(*out)->ctx = ctx;
	return 0;
}

void
pw_dmarc_psl_free(struct pw_dmarc_psl **psl)
{
	if (*psl == NULL)
		return;
	psl_free((*psl)->ctx);
	free(*psl);
	*psl = NULL;
}

const char *
pw_dmarc_psl_org(const struct pw_dmarc_psl *psl, const char *domain)
{
	const char *org = psl_registrable_domain(psl->ctx, domain);

	return org != NULL ? org : domain;
}
