/* SPDX-License-Identifier: ISC */
/*
 * postward dmarc report: asks for the day's records page by page, makes the
 * reports, writes the files, and says to whom each is to be sent.
 */
#include "ctl/dmarc_report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define DAY_S 86400
#define XML_MAX (64u << 20)
#define PAGE_MAX (64u << 20)

struct run {
	const struct pw_config *cfg;
	const char *out;     /* folder */
	int64_t begin;       /* of the day, seconds */
	struct pw_report_day *day;
	json_t *summary;     /* a list, one object a file */
	int dir;
};

static int
misuse(const char *why)
{
	(void)fprintf(stderr, "postward: %s; usage: postward dmarc report "
	    "--day YYYY-MM-DD [--out DIR]\n", why);
	return EX_USAGE;
}

static int
read_words(struct run *r, const char *const *word, size_t nword)
{
	struct tm tm = { 0 };
	const char *day = NULL, *end;

	r->out = ".";
	for (size_t i = 0; i < nword; i += 2) {
		if (i + 1 == nword)
			return misuse("a value is missing");
		if (strcmp(word[i], "--day") == 0)
			day = word[i + 1];
		else if (strcmp(word[i], "--out") == 0)
			r->out = word[i + 1];
		else
			return misuse("unknown option");
	}
	if (day == NULL)
		return misuse("--day is missing");
	end = strptime(day, "%Y-%m-%d", &tm);
	if (end == NULL || *end != '\0')
		return misuse("--day takes a day (2026-01-31, by UTC)");
	r->begin = (int64_t)timegm(&tm);
	return EX_OK;
}

/* ---- the day's records -------------------------------------------------------------- */

/* One page; *after is moved on, or made -1 at the end. */
static int
read_page(struct run *r, int64_t *after, pw_report_fetch fetch, void *arg)
{
	char from[24], until[24];
	const char *const words[] = { "dmarc", "records", from, until };
	struct pw_strbuf sb;
	json_t *page = NULL;
	const json_t *rows, *next;
	int rc;

	snprintf(from, sizeof(from), "%" PRId64, *after);
	snprintf(until, sizeof(until), "%" PRId64,
	    (r->begin + DAY_S) * 1000000);
	pw_strbuf_init(&sb, PAGE_MAX);
	rc = fetch(arg, words, PW_COUNT(words), &sb);
	if (rc == EX_OK)
		page = json_loads(pw_strbuf_cstr(&sb), 0, NULL);
	if (rc == EX_OK && page == NULL)
		rc = EX_PROTOCOL;
	if (rc == EX_PROTOCOL)
		(void)fputs("postward: the records make no sense\n", stderr);
	else if (rc != EX_OK)
		(void)fputs(pw_strbuf_cstr(&sb), stderr);
	rows = json_object_get(page, "rows");
	for (size_t i = 0; i < json_array_size(rows); i++)
		pw_report_day_add(r->day, json_array_get(rows, i));
	next = json_object_get(page, "next");
	*after = json_is_integer(next) ? json_integer_value(next) : -1;
	json_decref(page);
	pw_strbuf_free(&sb);
	return rc;
}

/* ---- who gets it ---------------------------------------------------------------------- */

/* "verified": the address is the domain's own, or its consent is on record;
 * else the name to ask for. */
static json_t *
destination(const json_t *report, const char *domain, struct pw_bytes uri)
{
	ptrdiff_t at = pw_bytes_rchr(uri, '@'), query;
	char host[PW_DNS_NAME_SIZE], name[2 * PW_DNS_NAME_SIZE + 20];
	struct pw_bytes rest = pw_bytes_sub(uri, (size_t)at + 1, uri.len);
	bool own;

	query = pw_bytes_chr(rest, '?');
	if (query >= 0)
		rest = pw_bytes_sub(rest, 0, (size_t)query);
	if (pw_dmarc_domain(rest, host) < 0)
		return NULL;
	snprintf(name, sizeof(name), "%s._report._dmarc.%s", domain, host);
	own = pw_dmarc_within(host, domain) || json_object_get(
	    json_object_get(report, "verified"), name) != NULL;
	return json_pack("{s:s%,s:b,s:s?}", "uri", uri.ptr, uri.len,
	    "verified", own, "ask", own ? NULL : name);
}

/* Addresses that mail can be sent to. */
static json_t *
destinations(const json_t *report, const char *domain, struct pw_bytes rua)
{
	json_t *list = json_array(), *one;
	struct pw_bytes uri;

	while (pw_dmarc_uri_next(&rua, &uri))
		if (pw_bytes_has_prefix_ci(uri, PW_LIT("mailto:")) &&
		    (one = destination(report, domain, uri)) != NULL)
			(void)json_array_append_new(list, one);
	return list;
}

/* ---- one report --------------------------------------------------------------------------- */

static const char *
org_name(const struct run *r, const char *email)
{
	const char *at = strrchr(email, '@');

	return pw_report_option(r->cfg, "report-org",
	    at != NULL ? at + 1 : r->cfg->server.hostname);
}

static int
write_report(struct run *r, const char *domain, const json_t *report,
    const struct pw_dmarc_record *rec, json_t *to)
{
	const char *host = r->cfg->server.hostname;
	const char *email = pw_report_option(r->cfg, "report-email",
	    r->cfg->accounts.postmaster);
	json_int_t dropped = json_integer_value(json_object_get(report,
	    "dropped"));
	char id[600], name[600], error[200];
	struct pw_report_head h = { .org_name = org_name(r, email),
		.email = email, .report_id = id, .domain = domain,
		.begin = r->begin, .end = r->begin + DAY_S - 1,
		.psl = strcmp(pw_report_option(r->cfg,
		"organizational-domain", ""), "psl") == 0, .record = *rec };
	struct pw_strbuf xml;
	struct pw_err err = { 0 };
	int rc;

	snprintf(id, sizeof(id), "%" PRId64 ".%s@%s", r->begin, domain, host);
	snprintf(name, sizeof(name), "%s!%s!%" PRId64 "!%" PRId64 ".xml.gz",
	    host, domain, h.begin, h.end);
	snprintf(error, sizeof(error), "%s%s%lld messages are in no row",
	    rec->fault != NULL ? rec->fault : "",
	    rec->fault != NULL ? "; " : "", (long long)dropped);
	if (dropped > 0)
		h.error = error;
	else
		h.error = rec->fault;
	pw_strbuf_init(&xml, XML_MAX);
	pw_report_xml(&h, json_object_get(report, "rows"), &xml);
	rc = xml.overflow ? pw_err_set(&err, EFBIG, "%s: above 64 MiB", name) :
	    pw_report_write(r->dir, name, pw_strbuf_bytes(&xml), &err);
	pw_strbuf_free(&xml);
	if (rc != 0) {
		(void)fprintf(stderr, "postward: %s/%s\n", r->out, err.text);
		return EX_CANTCREAT;
	}
	(void)json_array_append_new(r->summary, json_pack(
	    "{s:s,s:s,s:O,s:i,s:I,s:O}", "file", name, "domain", domain,
	    "messages", json_object_get(report, "messages"), "rows",
	    (int)json_object_size(json_object_get(report, "rows")), "dropped",
	    dropped, "to", to));
	return EX_OK;
}

/* Only for who asked: RFC 9989 section 4.7, rua. */
static int
write_reports(struct run *r)
{
	json_t *all = (json_t *)(uintptr_t)pw_report_day_result(r->day);
	const char *domain;
	json_t *report;
	int rc = EX_OK;

	json_object_foreach(all, domain, report)
	{
		const char *text = json_string_value(json_object_get(report,
		    "record"));
		struct pw_dmarc_record rec;
		json_t *to;
		int one = EX_OK;

		if (text == NULL || pw_dmarc_record_parse(pw_bytes_of(text),
		    &rec) < 0)
			continue;
		to = destinations(report, domain, rec.rua);
		if (json_array_size(to) > 0)
			one = write_report(r, domain, report, &rec, to);
		json_decref(to);
		rc = one != EX_OK ? one : rc;
	}
	return rc;
}

static void
print_summary(const struct run *r)
{
	json_t *one, *to;
	size_t i, k;

	json_array_foreach(r->summary, i, one)
	{
		(void)printf("%s/%s\n    %lld messages in %lld rows\n", r->out,
		    json_string_value(json_object_get(one, "file")),
		    (long long)json_integer_value(json_object_get(one,
		    "messages")), (long long)json_integer_value(
		    json_object_get(one, "rows")));
		json_array_foreach(json_object_get(one, "to"), k, to)
		{
			const char *name = json_string_value(json_object_get(
			    to, "ask"));

			(void)printf("    to %s%s%s%s\n", json_string_value(
			    json_object_get(to, "uri")), name != NULL ?
			    "  (unverified: send only if TXT " : "",
			    name != NULL ? name : "", name != NULL ?
			    " says v=DMARC1)" : "");
		}
	}
	(void)printf("%zu reports\n", json_array_size(r->summary));
}

int
pw_report_run(const struct pw_config *cfg, const char *const *word,
    size_t nword, bool json, pw_report_fetch fetch, void *arg)
{
	struct run r = { .cfg = cfg, .dir = -1 };
	struct pw_err err = { 0 };
	int64_t after;
	int rc = read_words(&r, word, nword);

	if (rc != EX_OK)
		return rc;
	r.dir = open(r.out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.dir < 0) {
		(void)fprintf(stderr, "postward: %s: %s\n", r.out,
		    strerror(errno));
		return EX_CANTCREAT;
	}
	if (pw_report_day_new(cfg, &r.day, &err) != 0) {
		(void)fprintf(stderr, "postward: %s\n", err.text);
		(void)close(r.dir);
		return EX_CONFIG;
	}
	if (pw_clock_real_us() < (r.begin + DAY_S) * 1000000)
		(void)fputs("postward: the day is not over; make the report "
		    "again when it is\n", stderr);
	r.summary = json_array();
	for (after = r.begin * 1000000 - 1; after >= 0 && rc == EX_OK;)
		rc = read_page(&r, &after, fetch, arg);
	if (rc == EX_OK)
		rc = write_reports(&r);
	if (rc == EX_OK && json) {
		(void)json_dumpf(r.summary, stdout, JSON_INDENT(2));
		(void)putchar('\n');
	} else if (rc == EX_OK) {
		print_summary(&r);
	}
	json_decref(r.summary);
	pw_report_day_free(&r.day);
	(void)close(r.dir);
	return rc;
}
