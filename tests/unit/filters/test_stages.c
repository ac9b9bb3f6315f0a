/* SPDX-License-Identifier: ISC */
/*
 * All built-in stages through the whole pipeline: what they find in ordinary
 * and in odd mail, and that none of them can be made to hang or to fail the
 * others.
 */
#include <check.h>
#include <stdlib.h>

#include "rig.h"

Suite *pw_suite_filters_stages(void);

#define MAIL                                                                 \
	"From: =?utf-8?q?J=C3=B6rg?= <joerg@sender.test>\r\n"                \
	"To: a@example.test\r\nSubject: hello\r\n"                           \
	"Message-ID: <1@sender.test>\r\n"                                    \
	"Date: Mon, 2 Jan 2006 15:04:05 +0000\r\n"                           \
	"Authentication-Results: MX.example.test (x); spf=pass\r\n"          \
	"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nhello\r\n"

static struct rig r;

static void
answers(void)
{
	rig_answer(&r, "1.2.0.192.in-addr.arpa", PW_DNS_PTR, PW_DNS_OK,
	    "client.sender.test");
	rig_answer(&r, "client.sender.test", PW_DNS_A, PW_DNS_OK, "192.0.2.1");
	rig_answer(&r, "sender.test", PW_DNS_TXT, PW_DNS_OK,
	    "v=spf1 ip4:192.0.2.1 -all");
	rig_answer(&r, "client.sender.test", PW_DNS_TXT, PW_DNS_NODATA, NULL);
	rig_answer(&r, "sender.test", PW_DNS_MX, PW_DNS_NODATA, NULL);
	rig_answer(&r, "_dmarc.sender.test", PW_DNS_TXT, PW_DNS_OK,
	    "v=DMARC1; p=reject");
	rig_answer(&r, "_dmarc.test", PW_DNS_TXT, PW_DNS_NXDOMAIN, NULL);
}

START_TEST(test_ordinary)
{
	const struct pw_pipe_result *res;
	struct pw_meta *m;
	struct pw_dec d;

	rig_open(&r, "default", NULL, 0);
	answers();
	res = rig_judge(&r, "192.0.2.1", "client.sender.test", "j@sender.test",
	    MAIL, sizeof(MAIL) - 1);
	ck_assert_ptr_nonnull(res);
	ck_assert_str_eq(res->iprev_name, "client.sender.test");
	ck_assert(rig_has(res, "SPF_PASS"));
	ck_assert(rig_has(res, "IPREV_PASS"));
	ck_assert(rig_has(res, "DKIM_NONE"));
	ck_assert(rig_has(res, "DMARC_PASS"));
	ck_assert(rig_has(res, "AUTHRES_FORGED"));
	ck_assert_int_eq(res->action, PW_VERDICT_DELIVER);
	ck_assert_ptr_nonnull(strstr(res->auth_results, "spf=pass"));
	ck_assert_ptr_nonnull(strstr(res->auth_results, "iprev=pass"));
	ck_assert_ptr_nonnull(strstr(res->auth_results, "dkim=none"));
	ck_assert_ptr_nonnull(strstr(res->auth_results,
	    "dmarc=pass header.from=sender.test policy.dmarc=reject"));
	ck_assert_uint_eq(res->ncut, 1);
	ck_assert_int_eq(memcmp(&MAIL[res->cut[0].offset],
	    "Authentication-Results:", 23), 0);
	ck_assert_uint_eq(res->nfield, 1);
	ck_assert_str_eq(res->field[0].name, "Received-SPF");
	pw_dec_init(&d, res->meta);
	m = pw_meta_dec(&d, r.pool);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m->subject.ptr, "hello");
	ck_assert_str_eq(m->from.ptr, "J\xc3\xb6rg <joerg@sender.test>");
	ck_assert_int_eq(m->date, 1136214245);
	ck_assert_ptr_nonnull(strstr(m->structure.ptr, "\"type\":\"text\""));
	ck_assert_ptr_nonnull(strstr(m->structure.ptr,
	    "\"size\":7,\"lines\":1"));
	ck_assert_ptr_nonnull(strstr(m->envelope.ptr,
	    "[\"J\xc3\xb6rg\",\"joerg\",\"sender.test\"]"));
	ck_assert_uint_eq(m->ncut, 1);
	ck_assert_uint_gt(pw_dns_set_count(res->dns), 3);
	rig_close(&r);
}
END_TEST

START_TEST(test_policy_early)
{
	struct pw_early e;

	rig_open(&r, "default", NULL, 0);
	rig_answer(&r, "null.test", PW_DNS_MX, PW_DNS_OK, "");
	rig_answer(&r, "null.test", PW_DNS_TXT, PW_DNS_NODATA, NULL);
	r.cfg->policy.null_mx = 1;
	rig_session(&r, "192.0.2.1", false);
	rig_mail(&r, "x", "a@null.test");
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	ck_assert(rig_phase(&r, PW_PHASE_RCPT, 1000));
	pw_pipe_early(r.pipe, PW_PHASE_RCPT, NULL, &e);
	ck_assert_ptr_nonnull(e.reply);
	ck_assert_int_eq(strncmp(e.reply, "550 5.7.27 ", 11), 0);
	rig_close(&r);
}
END_TEST

START_TEST(test_trusted)
{
	const struct pw_pipe_result *res;

	rig_open(&r, "default", NULL, 0);
	rig_session(&r, "192.0.2.1", true);
	ck_assert(rig_phase(&r, PW_PHASE_CONNECT, 1000));
	rig_mail(&r, "x", "a@null.test");
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	rig_message(&r, MAIL, sizeof(MAIL) - 1);
	ck_assert(rig_phase(&r, PW_PHASE_BODY, 1000));
	res = pw_pipe_result(r.pipe);
	for (size_t i = 0; i < res->nrun; i++)
		if (strcmp(res->run[i].stage, "spf") == 0 ||
		    strcmp(res->run[i].stage, "iprev") == 0)
			ck_assert_uint_eq(res->run[i].outcome, PW_OUTCOME_NA);
	ck_assert(rig_has(res, "AUTHRES_FORGED"));
	rig_close(&r);
}
END_TEST

/* Mails that a sender may make up; every one must be judged. */
START_TEST(test_conformance)
{
	size_t big = 600 * 1024, n = 0;
	char *buf = malloc(big);
	struct {
		const char *p;
		size_t len;
	} mails[64];

#define ADD(s) (mails[n].p = (s), mails[n++].len = sizeof(s) - 1)
	ADD("");
	ADD("x");
	ADD("\r\n");
	ADD("\r\n\r\n");
	ADD(":\r\n\r\n");
	ADD("From:\r\n\r\n");
	ADD("From: a@b.test\r\nDKIM-Signature:\r\n\r\nx\r\n");
	ADD("From: a@b.test\r\nDKIM-Signature: v=1\r\n\r\nx");
	ADD("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n--\r\n");
	ADD("Content-Type: message/rfc822\r\n\r\n\r\n\r\n");
	ADD(" folded first\r\nFrom: x\r\n");
	ADD("\0\0\0\0: \0\r\n\r\n");
	for (size_t i = 0; i < n; i++) {
		const struct pw_pipe_result *res;

		rig_open(&r, "default", NULL, 0);
		answers();
		res = rig_judge(&r, "192.0.2.1", "client.sender.test",
		    "j@sender.test", mails[i].p, mails[i].len);
		ck_assert_msg(res != NULL, "mail %zu", i);
		ck_assert_uint_gt(res->meta.len, 0);
		rig_close(&r);
	}
	/* A header section above the cap, and one endless field. */
	memset(buf, 'a', big);
	for (size_t i = 0; i < 2; i++) {
		const struct pw_pipe_result *res;

		memcpy(buf, "Subject: ", 9);
		if (i == 0)
			for (size_t k = 70; k + 2 < big; k += 72)
				memcpy(buf + k, "\r\nA:", 4);
		rig_open(&r, "default", NULL, 0);
		answers();
		res = rig_judge(&r, "192.0.2.1", "client.sender.test",
		    "j@sender.test", buf, big);
		ck_assert_ptr_nonnull(res);
		ck_assert(rig_has(res, "MIME_COMPLEX"));
		rig_close(&r);
		memset(buf, 'a', big);
	}
	free(buf);
}
END_TEST

/* What a scan process may do, and what follows. */
START_TEST(test_scan_faults)
{
	static const struct {
		enum rig_scan mode;
		const char *reason;
		uint8_t action;
	} t[] = { { RIG_CRASH, "crashed", PW_VERDICT_DEFER },
		{ RIG_CRASH, "crashed", PW_VERDICT_HOLD },
		{ RIG_GARBAGE, "results malformed", PW_VERDICT_HOLD },
		{ RIG_REFUSE, "no scan process free", PW_VERDICT_HOLD } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		const struct pw_pipe_result *res;

		rig_open(&r, "default", NULL, 0);
		answers();
		r.mode = t[i].mode;
		res = rig_judge(&r, "192.0.2.1", "client.sender.test",
		    "j@sender.test", MAIL, sizeof(MAIL) - 1);
		ck_assert_ptr_nonnull(res);
		ck_assert_msg(res->action == t[i].action, "row %zu: %u %s", i,
		    res->action, res->step);
		for (size_t k = 0; k < res->nrun; k++)
			if (strcmp(res->run[k].stage, "dkim") == 0)
				ck_assert_str_eq(res->run[k].reason,
				    t[i].reason);
		rig_close(&r);
	}
}
END_TEST

/* No resolver at all: temporary errors, never pass or fail. */
START_TEST(test_dns_dead)
{
	struct pw_id id = pw_id_new();
	struct pw_session_info info = { .peer = { 4, { 192, 0, 2, 1 } } };
	const struct pw_pipe_result *res;
	struct pw_dns_client *dns;

	rig_open(&r, "default", NULL, 0);
	r.p->dns = dns = pw_dns_client_new(r.loop);
	r.pipe = pw_pipe_open(r.p, &info);
	ck_assert(rig_phase(&r, PW_PHASE_CONNECT, 1000));
	pw_pipe_begin(r.pipe, &id);
	pw_pipe_text(r.pipe, "mail.domain", PW_LIT("sender.test"));
	pw_pipe_text(r.pipe, "mail.local", PW_LIT("j"));
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	rig_message(&r, MAIL, sizeof(MAIL) - 1);
	ck_assert(rig_phase(&r, PW_PHASE_BODY, 1000));
	res = pw_pipe_result(r.pipe);
	ck_assert_int_eq(res->action, PW_VERDICT_DELIVER);
	ck_assert_ptr_nonnull(strstr(res->auth_results, "spf=temperror"));
	ck_assert_ptr_nonnull(strstr(res->auth_results, "iprev=temperror"));
	ck_assert_ptr_nonnull(strstr(res->auth_results, "dmarc=temperror"));
	ck_assert(rig_has(res, "DMARC_TEMPERROR"));
	pw_pipe_close(&r.pipe);
	pw_dns_client_free(&dns);
	rig_close(&r);
}
END_TEST

static const char *
text_of(const struct pw_pipe_result *res, const char *symbol)
{
	for (size_t i = 0; i < res->nevidence; i++)
		if (strcmp(res->evidence[i].symbol, symbol) == 0)
			return res->evidence[i].text.ptr;
	return "";
}

/* Each bound on a message's structure is evidence that names it. */
START_TEST(test_bounds)
{
	static const struct {
		const char *head, *line; /* LINE comes N times */
		unsigned n;
		const char *bound;
	} t[] = { { "", "A: b\r\n", 4100, "4096 header fields" },
		{ "X: y\r\n", " 0123456789012345678901234567890\r\n", 600,
		    "16 KB" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
		    "--b\r\n\r\nx\r\n", 1100, "48 KB" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
		    "--b\r\n\r\n", 6000, "5000 lines" },
		{ "", "Content-Type: message/rfc822\r\n\r\n", 80,
		    "more than 50 deep" },
		{ "To: x@y.test", ",a@b.test\r\n ", 1200,
		    "1000 addresses" } };
	struct pw_strbuf sb;

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		const struct pw_pipe_result *res;

		pw_strbuf_init(&sb, 1u << 20);
		pw_strbuf_adds(&sb, t[i].head);
		for (unsigned k = 0; k < t[i].n; k++)
			pw_strbuf_adds(&sb, t[i].line);
		pw_strbuf_adds(&sb, "\r\n\r\nend\r\n");
		rig_open(&r, "default", NULL, 0);
		answers();
		res = rig_judge(&r, "192.0.2.1", "client.sender.test",
		    "j@sender.test", sb.ptr, sb.len);
		ck_assert_ptr_nonnull(res);
		ck_assert_msg(strstr(text_of(res, "MIME_COMPLEX"),
		    t[i].bound) != NULL, "row %zu: '%s'", i,
		    text_of(res, "MIME_COMPLEX"));
		rig_close(&r);
		pw_strbuf_free(&sb);
	}
}
END_TEST

/* Symbols in shadow are recorded, and neither counted nor a reason. */
START_TEST(test_shadow_symbol)
{
	const char *shadow[] = { "AUTHRES_FORGED", "SPF_FAIL",
		"DMARC_FAIL_REJECT" };
	struct pw_err err = { 0 };

	for (int on = 0; on < 2; on++) {
		const struct pw_pipe_result *res;
		double score;

		rig_open(&r, "default", NULL, 0);
		r.cfg->policy.spf_fail = PW_POLICY_SPF_FAIL_HOLD;
		r.cfg->policy.shadow = (struct pw_strlist){ shadow,
			on ? 3u : 0u };
		pw_weights_free(&r.p->weights);
		ck_assert_int_eq(pw_weights_new(r.cfg, r.p->reg,
		    &r.p->weights, &err), 0);
		answers();
		res = rig_judge(&r, "192.0.2.9", "client.sender.test",
		    "j@sender.test", MAIL, sizeof(MAIL) - 1);
		ck_assert_ptr_nonnull(res);
		ck_assert(rig_has(res, "AUTHRES_FORGED"));
		ck_assert(rig_has(res, "SPF_FAIL"));
		ck_assert_int_eq(res->action, on ? PW_VERDICT_DELIVER :
		    PW_VERDICT_HOLD);
		score = 0;
		for (size_t i = 0; i < res->nevidence; i++)
			if (!res->evidence[i].shadow)
				score += res->evidence[i].weight;
		ck_assert_double_eq_tol(res->score, score, 1e-9);
		r.cfg->policy.shadow = (struct pw_strlist){ NULL, 0 };
		rig_close(&r);
	}
	shadow[0] = "NO_SUCH";
	rig_open(&r, "default", NULL, 0);
	r.cfg->policy.shadow = (struct pw_strlist){ shadow, 1 };
	pw_weights_free(&r.p->weights);
	ck_assert_int_eq(pw_weights_new(r.cfg, r.p->reg, &r.p->weights, &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.text, "policy.shadow"));
	r.cfg->policy.shadow = (struct pw_strlist){ NULL, 0 };
	rig_close(&r);
}
END_TEST

START_TEST(test_reset_while_scanning)
{
	rig_open(&r, "default", NULL, 0);
	answers();
	r.mode = RIG_HANG;
	rig_session(&r, "192.0.2.1", false);
	rig_mail(&r, "x", "a@sender.test");
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	rig_message(&r, MAIL, sizeof(MAIL) - 1);
	ck_assert(!rig_phase(&r, PW_PHASE_BODY, 20));
	pw_pipe_reset(r.pipe);
	pw_pipe_reset(r.pipe);
	ck_assert_uint_eq(r.cancelled, r.jobs);
	rig_close(&r);
}
END_TEST

Suite *
pw_suite_filters_stages(void)
{
	Suite *s = suite_create("filters/stages");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_ordinary);
	tcase_add_test(tc, test_policy_early);
	tcase_add_test(tc, test_trusted);
	tcase_add_test(tc, test_conformance);
	tcase_add_test(tc, test_scan_faults);
	tcase_add_test(tc, test_dns_dead);
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_shadow_symbol);
	tcase_add_test(tc, test_reset_while_scanning);
	suite_add_tcase(s, tc);
	return s;
}
