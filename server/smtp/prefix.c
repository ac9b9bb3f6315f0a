/* SPDX-License-Identifier: ISC */
/* Writing our header fields. */
#include "smtp/prefix.h"

#include "base/clock.h"
#include "filters/text.h"

const char *
pw_prefix_protocol(bool esmtp, bool tls, bool smtputf8)
{
	if (smtputf8)
		return tls ? "UTF8SMTPS" : "UTF8SMTP";
	if (!esmtp)
		return "SMTP";
	return tls ? "ESMTPS" : "ESMTP";
}

/* A name that is no domain: only what cannot be taken for anything else. */
static void
add_plain(struct pw_strbuf *sb, struct pw_bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		int c = (unsigned char)b.ptr[i];
		bool ok = pw_is_alpha(c) || pw_is_digit(c) || c == '.' ||
		    c == '-' || c == '_' || c == ':' || c == '[' || c == ']';

		pw_strbuf_addc(sb, ok ? (char)c : '?');
	}
}

static void
add_helo(struct pw_strbuf *sb, const struct pw_received *r)
{
	if (r->helo.len == 0)
		pw_strbuf_adds(sb, "unknown");
	else if (r->helo_ok && (r->smtputf8 || pw_is_ascii(r->helo)))
		pw_strbuf_add(sb, r->helo);
	else
		add_plain(sb, r->helo);
}

void
pw_prefix_received(struct pw_strbuf *sb, const struct pw_received *r)
{
	char ip[PW_IP_STRLEN], date[40];

	pw_ip_format(&r->peer, ip);
	(void)pw_clock_rfc5322(date, r->time_us);
	pw_strbuf_adds(sb, "Received: from ");
	add_helo(sb, r);
	pw_strbuf_addf(sb, " (%s%s[%s%s])\r\n",
	    r->rdns[0] != '\0' ? r->rdns : "", r->rdns[0] != '\0' ? " " : "",
	    r->peer.family == 6 ? "IPv6:" : "", ip);
	if (r->tls_version != NULL)
		pw_strbuf_addf(sb,
		    "\t(using %s with cipher %s (%d bits))\r\n",
		    r->tls_version, r->tls_cipher, r->tls_bits);
	pw_strbuf_addf(sb, "\tby %s (Postward) with %s id %s", r->by,
	    pw_prefix_protocol(r->esmtp, r->tls_version != NULL, r->smtputf8),
	    r->id);
	if (r->only_rcpt.len > 0) {
		pw_strbuf_adds(sb, "\r\n\tfor <");
		pw_strbuf_add(sb, r->only_rcpt);
		pw_strbuf_addc(sb, '>');
	}
	pw_strbuf_addf(sb, ";\r\n\t%s\r\n", date);
}

/* A value of a header field: UTF-8 text in lines, where each line end is CRLF
 * and followed by a space or tab and something visible. */
static bool
is_value(struct pw_bytes v)
{
	bool visible = false;

	if (!pw_is_utf8(v))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		int c = (unsigned char)v.ptr[i];

		if (c == '\r' && i + 2 < v.len && v.ptr[i + 1] == '\n' &&
		    (v.ptr[i + 2] == ' ' || v.ptr[i + 2] == '\t')) {
			if (!visible)
				return false;
			visible = false;
			i += 2;
			continue;
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
		visible |= c > 0x20;
	}
	return visible;
}

static bool
is_name(const char *name)
{
	size_t n = 0;

	for (; name[n] != '\0'; n++)
		if (name[n] <= 0x20 || name[n] >= 0x7f || name[n] == ':')
			return false;
	return n > 0 && n <= 76;
}

static void
add_field(struct pw_strbuf *sb, const char *name, struct pw_bytes value)
{
	if (!is_name(name) || !is_value(value))
		return;
	pw_strbuf_addf(sb, "%s: ", name);
	pw_strbuf_add(sb, value);
	pw_strbuf_adds(sb, "\r\n");
}

void
pw_prefix_results(struct pw_strbuf *sb, const struct pw_pipe_result *result)
{
	if (result->auth_results != NULL && result->auth_results[0] != '\0')
		add_field(sb, "Authentication-Results",
		    pw_bytes_of(result->auth_results));
	for (size_t i = 0; i < result->nfield; i++)
		add_field(sb, result->field[i].name, result->field[i].value);
}

void
pw_prefix_verdict(struct pw_strbuf *sb, struct pw_pool *pool,
    const char *action, double score, const char *step)
{
	static const char name[] = "X-Postward";
	const char *text = pw_pool_printf(pool, "%s; score=%.2f; %s", action,
	    score, step);

	if (text != NULL)
		text = pw_text_fold(pool, text, strlen(name));
	if (text != NULL)
		add_field(sb, name, pw_bytes_of(text));
}

void
pw_prefix_recipient(struct pw_strbuf *sb, struct pw_bytes from,
    struct pw_bytes delivered_to, struct pw_bytes original_to)
{
	pw_strbuf_adds(sb, "Return-Path: <");
	pw_strbuf_add(sb, from);
	pw_strbuf_adds(sb, ">\r\nDelivered-To: ");
	pw_strbuf_add(sb, delivered_to);
	pw_strbuf_adds(sb, "\r\nX-Original-To: ");
	pw_strbuf_add(sb, original_to);
	pw_strbuf_adds(sb, "\r\n");
}
