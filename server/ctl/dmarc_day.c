/* SPDX-License-Identifier: ISC */
/*
 * Gathers the rows of aggregate reports.  Each decision is judged once more on
 * the DNS answers that were recorded with it: that tells the policy domain, the
 * record it published then, and what was in alignment.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/valid.h"
#include "ctl/dmarc_report.h"
#include "filters/authres.h"

struct pw_report_day {
	struct pw_dmarc_psl *psl; /* NULL: tree walk */
	json_t *reports;
};

/* One decision at hand. */
struct looking {
	struct pw_report_day *day;
	const json_t *row;
	struct pw_pool *pool;
	struct pw_dns_set *dns;
	struct pw_dmarc_source src;
};

const char *
pw_report_option(const struct pw_config *cfg, const char *name,
    const char *def)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < cfg->nstage; i++) {
		const struct pw_config_stage *s = &cfg->stage[i];

		if (s->name == NULL || strcmp(s->name, "dmarc") != 0)
			continue;
		for (size_t k = 0; k < s->options.n; k++)
			if (strncmp(s->options.v[k], name, n) == 0 &&
			    s->options.v[k][n] == '=' &&
			    s->options.v[k][n + 1] != '\0')
				return s->options.v[k] + n + 1;
	}
	return def;
}

int
pw_report_day_new(const struct pw_config *cfg, struct pw_report_day **out,
    struct pw_err *err)
{
	struct pw_report_day *d = *out = pw_xcalloc(1, sizeof(*d));
	char text[300];

	d->reports = json_object();
	if (strcmp(pw_report_option(cfg, "organizational-domain", ""),
	    "psl") == 0 && pw_dmarc_psl_new(pw_report_option(cfg, "psl-file",
	    ""), &d->psl, text, sizeof(text)) < 0) {
		pw_report_day_free(out);
		return pw_err_set(err, 0, "%s", text);
	}
	return 0;
}

void
pw_report_day_free(struct pw_report_day **day)
{
	if (*day == NULL)
		return;
	pw_dmarc_psl_free(&(*day)->psl);
	json_decref((*day)->reports);
	free(*day);
	*day = NULL;
}

const json_t *
pw_report_day_result(const struct pw_report_day *day)
{
	return day->reports;
}

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* ---- recorded answers ------------------------------------------------------------- */

static void
add_answer(struct looking *l, const json_t *o)
{
	const json_t *records = json_object_get(o, "records");
	struct pw_dns_answer a = { .name = str(o, "name"),
		.status = PW_DNS_SERVFAIL };
	struct pw_dns_rr rr[PW_DNS_MAX_RR] = { { 0 } };

	if (strcmp(str(o, "type"), "TXT") == 0)
		a.type = PW_DNS_TXT;
	else if (strcmp(str(o, "type"), "A") == 0)
		a.type = PW_DNS_A;
	else
		return;
	for (uint8_t s = PW_DNS_OK; s <= PW_DNS_BADNAME; s++)
		if (strcmp(str(o, "status"), pw_dns_status_name(s)) == 0)
			a.status = s;
	/* Of an address only its being there counts. */
	for (size_t i = 0; a.type == PW_DNS_TXT &&
	    i < json_array_size(records) && i < PW_COUNT(rr); i++) {
		const json_t *t = json_array_get(records, i);

		rr[a.nrr++].data = pw_bytes(json_string_value(t),
		    json_string_length(t));
	}
	a.rr = rr;
	(void)pw_dns_set_add(l->dns, &a);
}

static int
recall(void *arg, const char *name, uint16_t type, struct pw_dns_reply *out)
{
	struct looking *l = arg;
	const struct pw_dns_answer *a = pw_dns_set_get(l->dns, name, type);
	struct pw_dns_record *r;

	*out = (struct pw_dns_reply){ .status = PW_DNS_SERVFAIL };
	if (a == NULL)
		return 0;
	out->status = a->status;
	r = pw_pool_array(l->pool, a->nrr > 0 ? a->nrr : 1, sizeof(*r));
	for (size_t i = 0; r != NULL && i < a->nrr; i++)
		r[i].data = (struct pw_slice){ a->rr[i].data.ptr,
			a->rr[i].data.len };
	out->record = r;
	out->count = r != NULL ? a->nrr : 0;
	return 0;
}

/* ---- what the record says ------------------------------------------------------------ */

static void
add_ident(struct looking *l, struct pw_dmarc_request *req, const char *domain,
    bool dkim)
{
	char *copy = pw_pool_alloc(l->pool, PW_DNS_NAME_SIZE);

	if (copy == NULL || req->n == PW_DMARC_IDENTS ||
	    pw_dmarc_domain(pw_bytes_of(domain), copy) < 0)
		return;
	req->ident[req->n++] = (struct pw_dmarc_ident){ copy, dkim, true };
}

/* The results of SPF and DKIM, for the report and for judging once more. */
static void
read_auth(struct looking *l, struct pw_dmarc_request *req,
    struct pw_report_row *row)
{
	struct pw_bytes rest = pw_bytes_of(str(l->row, "auth_results"));
	struct pw_authres_entry e;

	while (pw_authres_next(&rest, l->pool, &e)) {
		const char *d = pw_authres_prop(&e, "header.d");
		const char *s = pw_authres_prop(&e, "header.s");
		const char *from = pw_authres_prop(&e, "smtp.mailfrom");
		bool pass = strcmp(e.result, "pass") == 0;

		if (strcmp(e.method, "dkim") == 0 && d != NULL && s != NULL) {
			/* A key in test mode does not count. */
			if (pass && e.reason[0] == '\0')
				add_ident(l, req, d, true);
			if (row->ndkim < PW_REPORT_DKIM_MAX)
				row->dkim[row->ndkim++] =
				    (struct pw_report_auth){ d, s, e.result,
				    e.reason };
		} else if (strcmp(e.method, "spf") == 0 && from != NULL &&
		    !row->has_spf) {
			if (pass)
				add_ident(l, req, from, false);
			row->has_spf = true;
			row->spf = (struct pw_report_auth){ from, "", e.result,
				e.reason };
		}
	}
}

static bool
has_symbol(const struct looking *l, const char *symbol)
{
	const json_t *list = json_object_get(l->row, "symbols");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s != NULL && strcmp(s, symbol) == 0)
			return true;
	}
	return false;
}

/* What was done, and why where that is not what the domain asks for. */
static void
set_disposition(const struct looking *l, const struct pw_dmarc_verdict *v,
    struct pw_report_row *row)
{
	const char *action = str(l->row, "action");
	const char *asked = pw_dmarc_policy_name(v->published);

	if (v->result == PW_DMARC_PASS) {
		row->disposition = v->published != PW_DMARC_P_NONE ? "pass" :
		    "none";
		return;
	}
	row->disposition = strcmp(action, "deliver") == 0 ? "none" :
	    strcmp(action, "junk") == 0 || strcmp(action, "hold") == 0 ?
	    "quarantine" : "reject";
	if (strcmp(row->disposition, asked) == 0)
		return;
	row->comment = action;
	if (has_symbol(l, "DMARC_FAIL_FORWARDED"))
		row->reason = "trusted_forwarder";
	else if (v->record.testing && strcmp(row->disposition,
	    pw_dmarc_policy_name(v->policy)) == 0)
		row->reason = "policy_test_mode";
	else
		row->reason = "local_policy";
}

/* ---- the report that it belongs to ------------------------------------------------------ */

static json_t *
report_of(struct looking *l, const struct pw_dmarc_verdict *v)
{
	json_t *r = json_object_get(l->day->reports, v->domain);

	if (r == NULL) {
		if (json_object_size(l->day->reports) >= PW_REPORT_DOMAINS_MAX)
			return NULL;
		r = json_pack("{s:i,s:i,s:{},s:{}}", "messages", 0, "dropped",
		    0, "rows", "verified");
		(void)json_object_set_new(l->day->reports, v->domain, r);
	}
	/* The last one that was seen stands for the day. */
	(void)json_object_set_new(r, "record", json_stringn(v->text.ptr,
	    v->text.len));
	return r;
}

static void
increase(json_t *o, const char *key)
{
	(void)json_object_set_new(o, key, json_integer(1 +
	    json_integer_value(json_object_get(o, key))));
}

static void
count_row(json_t *report, const struct pw_report_row *row)
{
	json_t *rows = json_object_get(report, "rows"), *there;
	struct pw_strbuf head, tail;
	char *key = NULL;

	pw_strbuf_init(&head, 1u << 16);
	pw_strbuf_init(&tail, 1u << 16);
	pw_report_xml_row(row, &head, &tail);
	increase(report, "messages");
	if (!head.overflow && !tail.overflow &&
	    asprintf(&key, "%s%s", pw_strbuf_cstr(&head),
	    pw_strbuf_cstr(&tail)) >= 0) {
		there = json_object_get(rows, key);
		if (there != NULL)
			increase(there, "count");
		else if (json_object_size(rows) < PW_REPORT_ROWS_MAX)
			(void)json_object_set_new(rows, key,
			    json_pack("{s:s,s:s,s:i}", "head",
			    pw_strbuf_cstr(&head), "tail",
			    pw_strbuf_cstr(&tail), "count", 1));
		else
			increase(report, "dropped");
		free(key);
	} else {
		increase(report, "dropped");
	}
	pw_strbuf_free(&head);
	pw_strbuf_free(&tail);
}

/* Destinations of other domains whose consent is on record by chance. */
static void
note_verified(struct looking *l, json_t *report)
{
	json_t *list = json_object_get(report, "verified");

	for (size_t i = 0; i < pw_dns_set_count(l->dns); i++) {
		const struct pw_dns_answer *a = pw_dns_set_at(l->dns, i);
		struct pw_dmarc_record rec;

		if (a->type != PW_DNS_TXT || a->status != PW_DNS_OK ||
		    strstr(a->name, "._report._dmarc.") == NULL)
			continue;
		for (size_t k = 0; k < a->nrr; k++)
			if (pw_dmarc_record_parse(a->rr[k].data, &rec) == 0)
				(void)json_object_set_new(list, a->name,
				    json_true());
	}
}

static void
add_author(struct looking *l, const char *from)
{
	const char *sender = str(l->row, "mail_from");
	const char *at = strrchr(sender, '@');
	struct pw_report_row row = { .header_from = from,
		.source_ip = str(l->row, "peer"),
		.envelope_from = at != NULL ? at + 1 : "" };
	struct pw_dmarc_request req = { .from = from };
	struct pw_dmarc_verdict v;
	json_t *report;

	read_auth(l, &req, &row);
	if (pw_dmarc_eval(&l->src, &req, &v) != PW_OK || !v.has_policy ||
	    (v.result != PW_DMARC_PASS && v.result != PW_DMARC_FAIL))
		return;
	row.dkim_aligned = v.dkim != NULL;
	row.spf_aligned = v.spf != NULL;
	set_disposition(l, &v, &row);
	report = report_of(l, &v);
	if (report == NULL)
		return;
	note_verified(l, report);
	count_row(report, &row);
}

void
pw_report_day_add(struct pw_report_day *day, const json_t *row)
{
	struct looking l = { .day = day, .row = row,
		.pool = pw_pool_new(8u << 20) };
	struct pw_bytes rest = pw_bytes_of(str(row, "auth_results"));
	const json_t *dns = json_object_get(row, "dns");
	struct pw_authres_entry e;
	struct pw_ip ip;

	l.dns = pw_dns_set_new(l.pool);
	l.src = (struct pw_dmarc_source){ recall, &l, day->psl };
	for (size_t i = 0; i < json_array_size(dns); i++)
		add_answer(&l, json_array_get(dns, i));
	/* What was deferred comes again. */
	while (strcmp(str(row, "action"), "defer") != 0 &&
	    pw_ip_parse(pw_bytes_of(str(row, "peer")), &ip) == 0 &&
	    pw_authres_next(&rest, l.pool, &e)) {
		const char *from = pw_authres_prop(&e, "header.from");

		if (strcmp(e.method, "dmarc") == 0 && from != NULL &&
		    (strcmp(e.result, "pass") == 0 ||
		    strcmp(e.result, "fail") == 0))
			add_author(&l, from);
	}
	pw_pool_free(&l.pool);
}
