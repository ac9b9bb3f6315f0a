/* SPDX-License-Identifier: ISC */
/* ESMTP parameters: one splitter, one table of keywords. */
#include "smtp/param.h"

#define PARAM_MAX 32u

struct param {
	struct pw_bytes key, value;
	bool has_value;
};

static bool
is_keyword(struct pw_bytes b)
{
	if (b.len == 0 || !(pw_is_alpha((unsigned char)b.ptr[0]) ||
		pw_is_digit((unsigned char)b.ptr[0])))
		return false;
	for (size_t i = 1; i < b.len; i++) {
		int c = (unsigned char)b.ptr[i];

		if (!pw_is_alpha(c) && !pw_is_digit(c) && c != '-')
			return false;
	}
	return true;
}

/* esmtp-value: 1*(%d33-60 / %d62-126). */
static bool
is_value(struct pw_bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		int c = (unsigned char)b.ptr[i];

		if (c < 33 || c > 126 || c == '=')
			return false;
	}
	return b.len > 0;
}

/* Takes the next parameter off IN: 1, 0 at the end, -1 when malformed. */
static int
next_param(struct pw_bytes *in, struct param *p)
{
	struct pw_bytes word;
	ptrdiff_t at;

	if (in->len > 0 && in->ptr[0] != ' ')
		return -1;
	while (in->len > 0 && in->ptr[0] == ' ')
		*in = pw_bytes_sub(*in, 1, in->len);
	if (in->len == 0)
		return 0;
	at = pw_bytes_chr(*in, ' ');
	word = pw_bytes_sub(*in, 0, at < 0 ? in->len : (size_t)at);
	*in = pw_bytes_sub(*in, word.len, in->len);
	at = pw_bytes_chr(word, '=');
	p->has_value = at >= 0;
	p->key = pw_bytes_sub(word, 0, at < 0 ? word.len : (size_t)at);
	p->value = at < 0 ? PW_BYTES_NONE
			  : pw_bytes_sub(word, (size_t)at + 1, word.len);
	if (!is_keyword(p->key) || (p->has_value && !is_value(p->value)))
		return -1;
	return 1;
}

static enum pw_param_fault
take_size(const struct param *p, struct pw_mail_param *out)
{
	if (out->has_size)
		return PW_PARAM_TWICE;
	/* RFC 1870: 1*20DIGIT. */
	if (!p->has_value || p->value.len > 20)
		return PW_PARAM_VALUE;
	for (size_t i = 0; i < p->value.len; i++)
		if (!pw_is_digit((unsigned char)p->value.ptr[i]))
			return PW_PARAM_VALUE;
	if (pw_bytes_u64(p->value, UINT64_MAX, &out->size) != 0)
		out->size = UINT64_MAX;
	out->has_size = true;
	return PW_PARAM_OK;
}

static enum pw_param_fault
take_body(const struct param *p, struct pw_mail_param *out)
{
	if (out->has_body)
		return PW_PARAM_TWICE;
	if (!p->has_value)
		return PW_PARAM_VALUE;
	if (pw_bytes_caseeq(p->value, PW_LIT("8BITMIME")))
		out->eightbit = true;
	else if (!pw_bytes_caseeq(p->value, PW_LIT("7BIT")))
		return PW_PARAM_VALUE;
	out->has_body = true;
	return PW_PARAM_OK;
}

static enum pw_param_fault
take_flag(const struct param *p, bool *flag)
{
	if (p->has_value)
		return PW_PARAM_VALUE;
	if (*flag)
		return PW_PARAM_TWICE;
	*flag = true;
	return PW_PARAM_OK;
}

static enum pw_param_fault
take_mail(const struct param *p, bool requiretls, struct pw_mail_param *out)
{
	if (pw_bytes_caseeq(p->key, PW_LIT("SIZE")))
		return take_size(p, out);
	if (pw_bytes_caseeq(p->key, PW_LIT("BODY")))
		return take_body(p, out);
	if (pw_bytes_caseeq(p->key, PW_LIT("SMTPUTF8")))
		return take_flag(p, &out->smtputf8);
	if (pw_bytes_caseeq(p->key, PW_LIT("PRDR")))
		return take_flag(p, &out->prdr);
	if (requiretls && pw_bytes_caseeq(p->key, PW_LIT("REQUIRETLS")))
		return take_flag(p, &out->requiretls);
	return PW_PARAM_UNKNOWN;
}

enum pw_param_fault
pw_param_mail(struct pw_bytes in, bool requiretls, struct pw_mail_param *out)
{
	struct param p;
	unsigned n = 0;
	int more;

	memset(out, 0, sizeof(*out));
	while ((more = next_param(&in, &p)) == 1) {
		enum pw_param_fault fault = take_mail(&p, requiretls, out);

		if (fault != PW_PARAM_OK)
			return fault;
		if (++n > PARAM_MAX)
			return PW_PARAM_SYNTAX;
	}
	return more == 0 ? PW_PARAM_OK : PW_PARAM_SYNTAX;
}

enum pw_param_fault
pw_param_rcpt(struct pw_bytes in)
{
	struct param p;

	switch (next_param(&in, &p)) {
	case 0:
		return PW_PARAM_OK;
	case 1:
		return PW_PARAM_UNKNOWN;
	default:
		return PW_PARAM_SYNTAX;
	}
}

static int
hex_upper(int c)
{
	if (pw_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ptrdiff_t
pw_xtext_decode(struct pw_bytes in, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int c = (unsigned char)in.ptr[i];

		if (c == '+') {
			int hi = i + 2 < in.len
			    ? hex_upper((unsigned char)in.ptr[i + 1]) : -1;
			int lo = i + 2 < in.len
			    ? hex_upper((unsigned char)in.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return -1;
			c = hi * 16 + lo;
			i += 2;
		} else if (c < 33 || c > 126 || c == '=') {
			return -1;
		}
		if (c < 32 || c == 127 || n == size)
			return -1;
		out[n++] = (char)c;
	}
	return (ptrdiff_t)n;
}
