/* SPDX-License-Identifier: ISC */
/*
 * The XML of RFC 9990 (its tables name the elements and their order), and the
 * files that it is kept in.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include "ctl/dmarc_report.h"

/* ---- elements ----------------------------------------------------------------- */

/* Text that XML 1.0 can hold: what it cannot becomes a question mark. */
static void
add_text(struct pw_strbuf *sb, const char *text)
{
	struct pw_bytes b = pw_bytes_of(text);

	while (b.len > 0) {
		uint32_t cp = 0;
		size_t n = pw_utf8_next(b, &cp);

		if (n == 0 || (cp < 0x20 && cp != '\t') || cp == 0x7f ||
		    cp == 0xfffe || cp == 0xffff)
			pw_strbuf_addc(sb, '?');
		else if (cp == '<')
			pw_strbuf_adds(sb, "&lt;");
		else if (cp == '>')
			pw_strbuf_adds(sb, "&gt;");
		else if (cp == '&')
			pw_strbuf_adds(sb, "&amp;");
		else
			pw_strbuf_add(sb, pw_bytes_sub(b, 0, n));
		b = pw_bytes_sub(b, n > 0 ? n : 1, b.len);
	}
}

static void
element(struct pw_strbuf *sb, unsigned depth, const char *name,
    const char *text)
{
	pw_strbuf_addf(sb, "%*s<%s>", (int)depth * 2, "", name);
	add_text(sb, text);
	pw_strbuf_addf(sb, "</%s>\n", name);
}

static void
number(struct pw_strbuf *sb, unsigned depth, const char *name, int64_t n)
{
	pw_strbuf_addf(sb, "%*s<%s>%" PRId64 "</%s>\n", (int)depth * 2, "",
	    name, n, name);
}

static void
open_tag(struct pw_strbuf *sb, unsigned depth, const char *name)
{
	pw_strbuf_addf(sb, "%*s<%s>\n", (int)depth * 2, "", name);
}

static void
close_tag(struct pw_strbuf *sb, unsigned depth, const char *name)
{
	pw_strbuf_addf(sb, "%*s</%s>\n", (int)depth * 2, "", name);
}

/* ---- a record ------------------------------------------------------------------ */

static void
add_policy_evaluated(const struct pw_report_row *r, struct pw_strbuf *sb)
{
	open_tag(sb, 3, "policy_evaluated");
	element(sb, 4, "disposition", r->disposition);
	element(sb, 4, "dkim", r->dkim_aligned ? "pass" : "fail");
	element(sb, 4, "spf", r->spf_aligned ? "pass" : "fail");
	if (r->reason != NULL) {
		open_tag(sb, 4, "reason");
		element(sb, 5, "type", r->reason);
		if (r->comment != NULL)
			element(sb, 5, "comment", r->comment);
		close_tag(sb, 4, "reason");
	}
	close_tag(sb, 3, "policy_evaluated");
}

static void
add_auth(const struct pw_report_auth *a, const char *name, const char *more,
    const char *value, struct pw_strbuf *sb)
{
	open_tag(sb, 3, name);
	element(sb, 4, "domain", a->domain);
	element(sb, 4, more, value);
	element(sb, 4, "result", a->result);
	if (a->human[0] != '\0')
		element(sb, 4, "human_result", a->human);
	close_tag(sb, 3, name);
}

void
pw_report_xml_row(const struct pw_report_row *r, struct pw_strbuf *head,
    struct pw_strbuf *tail)
{
	open_tag(head, 1, "record");
	open_tag(head, 2, "row");
	element(head, 3, "source_ip", r->source_ip);
	pw_strbuf_adds(head, "      <count>");
	pw_strbuf_adds(tail, "</count>\n");
	add_policy_evaluated(r, tail);
	close_tag(tail, 2, "row");
	open_tag(tail, 2, "identifiers");
	element(tail, 3, "header_from", r->header_from);
	element(tail, 3, "envelope_from", r->envelope_from);
	close_tag(tail, 2, "identifiers");
	open_tag(tail, 2, "auth_results");
	for (unsigned i = 0; i < r->ndkim; i++)
		add_auth(&r->dkim[i], "dkim", "selector", r->dkim[i].selector,
		    tail);
	if (r->has_spf)
		add_auth(&r->spf, "spf", "scope", "mfrom", tail);
	close_tag(tail, 2, "auth_results");
	close_tag(tail, 1, "record");
}

/* ---- the document ----------------------------------------------------------------- */

static void
add_metadata(const struct pw_report_head *h, struct pw_strbuf *sb)
{
	open_tag(sb, 1, "report_metadata");
	element(sb, 2, "org_name", h->org_name);
	element(sb, 2, "email", h->email);
	element(sb, 2, "report_id", h->report_id);
	open_tag(sb, 2, "date_range");
	number(sb, 3, "begin", h->begin);
	number(sb, 3, "end", h->end);
	close_tag(sb, 2, "date_range");
	if (h->error != NULL)
		element(sb, 2, "error", h->error);
	element(sb, 2, "generator", "Postward " PW_VERSION);
	close_tag(sb, 1, "report_metadata");
}

static void
add_policy(const struct pw_report_head *h, struct pw_strbuf *sb)
{
	const struct pw_dmarc_record *r = &h->record;
	char fo[64];

	snprintf(fo, sizeof(fo), "%.*s", r->fo.len < sizeof(fo) ?
	    (int)r->fo.len : 0, r->fo.len > 0 ? r->fo.ptr : "");
	open_tag(sb, 1, "policy_published");
	element(sb, 2, "domain", h->domain);
	element(sb, 2, "discovery_method", h->psl ? "psl" : "treewalk");
	element(sb, 2, "p", pw_dmarc_policy_name(r->p));
	element(sb, 2, "sp", pw_dmarc_policy_name(r->sp));
	element(sb, 2, "np", pw_dmarc_policy_name(r->np));
	element(sb, 2, "fo", fo[0] != '\0' ? fo : "0");
	element(sb, 2, "adkim", r->strict_dkim ? "s" : "r");
	element(sb, 2, "aspf", r->strict_spf ? "s" : "r");
	element(sb, 2, "testing", r->testing ? "y" : "n");
	close_tag(sb, 1, "policy_published");
}

void
pw_report_xml(const struct pw_report_head *h, const json_t *rows,
    struct pw_strbuf *out)
{
	const char *key;
	json_t *row;

	pw_strbuf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
	    "  <version>1.0</version>\n");
	add_metadata(h, out);
	add_policy(h, out);
	json_object_foreach((json_t *)(uintptr_t)rows, key, row)
	{
		pw_strbuf_adds(out,
		    json_string_value(json_object_get(row, "head")));
		pw_strbuf_addf(out, "%" JSON_INTEGER_FORMAT,
		    json_integer_value(json_object_get(row, "count")));
		pw_strbuf_adds(out,
		    json_string_value(json_object_get(row, "tail")));
	}
	pw_strbuf_adds(out, "</feedback>\n");
}

/* ---- files ---------------------------------------------------------------------- */

/* FD is closed in any case. */
static int
write_gzip(int fd, struct pw_bytes text)
{
	gzFile gz = gzdopen(fd, "wb9");
	int rc = 0;

	if (gz == NULL) {
		(void)close(fd);
		return -1;
	}
	while (text.len > 0 && rc == 0) {
		unsigned n = text.len > 1u << 20 ? 1u << 20 :
		    (unsigned)text.len;

		if (gzwrite(gz, text.ptr, n) != (int)n)
			rc = -1;
		text = pw_bytes_sub(text, n, text.len);
	}
	return gzclose(gz) == Z_OK ? rc : -1;
}

int
pw_report_write(int dir, const char *name, struct pw_bytes text,
    struct pw_err *err)
{
	char part[512];
	int fd;

	/* The name is an admin's and a stranger's domain: host names only. */
	if (snprintf(part, sizeof(part), ".%s.part", name) >=
	    (int)sizeof(part))
		return pw_err_set(err, ENAMETOOLONG, "%s: too long", name);
	(void)unlinkat(dir, part, 0);
	fd = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0644);
	if (fd < 0)
		return pw_err_sys(err, "%s", part);
	if (write_gzip(fd, text) != 0 || renameat(dir, part, dir, name) != 0) {
		(void)pw_err_sys(err, "%s", name);
		(void)unlinkat(dir, part, 0);
		return -1;
	}
	return 0;
}
