/* SPDX-License-Identifier: ISC */
/* Unit tests of server/config: the tables, values and units. */
#include "config_test.h"

#include "base/log.h"

Suite *pw_suite_config_value(void);

static const struct pw_option *
option(const char *section, const char *key)
{
	const struct pw_section *s = pw_section_find(section);

	ck_assert_ptr_nonnull(s);
	const struct pw_option *o = pw_option_find(s, key);
	ck_assert_ptr_nonnull(o);
	return o;
}

static const struct {
	enum pw_opt_type type;
	const char *text;
	uint64_t value;
	const char *shortest; /* NULL: the same */
} units[] = {
	{ PW_OPT_SIZE, "0", 0, NULL },
	{ PW_OPT_SIZE, "64", 64, NULL },
	{ PW_OPT_SIZE, "1K", 1024, NULL },
	{ PW_OPT_SIZE, "50m", 50u << 20, "50M" },
	{ PW_OPT_SIZE, "2G", UINT64_C(2) << 30, NULL },
	{ PW_OPT_SIZE, "1T", UINT64_C(1) << 40, NULL },
	{ PW_OPT_SIZE, "2048", 2048, "2K" },
	{ PW_OPT_SIZE, "1025", 1025, NULL },
	{ PW_OPT_TIME, "0", 0, "0s" },
	{ PW_OPT_TIME, "0ms", 0, "0s" },
	{ PW_OPT_TIME, "500ms", 500, NULL },
	{ PW_OPT_TIME, "1500ms", 1500, NULL },
	{ PW_OPT_TIME, "60s", 60000, "1m" },
	{ PW_OPT_TIME, "90s", 90000, NULL },
	{ PW_OPT_TIME, "24h", 86400000, "1d" },
	{ PW_OPT_TIME, "30d", UINT64_C(2592000000), NULL },
	{ PW_OPT_INT, "0", 0, NULL },
	{ PW_OPT_INT, "9223372036854775807", INT64_MAX, NULL },
};

START_TEST(units_there_and_back)
{
	uint64_t v;
	const char *what;
	char text[40];

	for (size_t i = 0; i < PW_COUNT(units); i++) {
		ck_assert_msg(pw_unit_parse(units[i].type, units[i].text, &v,
				  &what) == 0, "%s", units[i].text);
		ck_assert_uint_eq(v, units[i].value);
		pw_unit_format(units[i].type, v, text, sizeof(text));
		ck_assert_str_eq(text, units[i].shortest != NULL ?
			units[i].shortest : units[i].text);
	}
}
END_TEST

static const struct {
	enum pw_opt_type type;
	const char *text, *what;
} no_units[] = {
	{ PW_OPT_SIZE, "", "is not a number" },
	{ PW_OPT_SIZE, "M", "is not a number" },
	{ PW_OPT_SIZE, " 1M", "is not a number" },
	{ PW_OPT_SIZE, "-1", "is below zero" },
	{ PW_OPT_SIZE, "1MB", "has an unknown unit" },
	{ PW_OPT_SIZE, "1 M", "has an unknown unit" },
	{ PW_OPT_SIZE, "1.5M", "has an unknown unit" },
	{ PW_OPT_SIZE, "9223372036854775808", "is too much" },
	{ PW_OPT_SIZE, "8388608T", "is too much" },
	{ PW_OPT_SIZE, "99999999999999999T", "is too much" },
	{ PW_OPT_TIME, "30", "has no unit" },
	{ PW_OPT_TIME, "30S", "has an unknown unit" },
	{ PW_OPT_TIME, "1w", "has an unknown unit" },
	{ PW_OPT_TIME, "999999999999d", "is too much" },
	{ PW_OPT_INT, "1K", "is not a whole number" },
	{ PW_OPT_INT, "1.0", "is not a whole number" },
	{ PW_OPT_INT, "9223372036854775808", "is too much" },
};

START_TEST(units_refused)
{
	for (size_t i = 0; i < PW_COUNT(no_units); i++) {
		uint64_t v = 77;
		const char *what = NULL;
		ck_assert_msg(pw_unit_parse(no_units[i].type,
				  no_units[i].text, &v, &what) == -1, "%s",
		    no_units[i].text);
		ck_assert_str_eq(what, no_units[i].what);
	}
}
END_TEST

/* Every default fits its own row, and is what it is printed as. */
START_TEST(defaults_fit)
{
	struct pw_config *cfg = pw_config_defaults();
	size_t n;
	const struct pw_option *o = pw_option_table(&n);

	ck_assert_uint_gt(n, 60);
	for (size_t i = 0; i < n; i++) {
		struct pw_strbuf s;
		pw_strbuf_init(&s, 4096);
		pw_value_print_default(&o[i], &s);
		ck_assert_uint_gt(s.len, 0);
		pw_strbuf_free(&s);
		ck_assert_ptr_null(strchr(o[i].key, '_'));
		ck_assert_uint_gt(strlen(o[i].help), 5);
		ck_assert_int_eq(o[i].help[strlen(o[i].help) - 1], '.');
	}
	ck_assert_uint_eq(cfg->smtp.max_message, 50u << 20);
	ck_assert_uint_eq(cfg->smtp.command_timeout, 300000);
	ck_assert_int_eq(cfg->smtp.max_recipients, 1000);
	ck_assert_str_eq(cfg->store.mailbox_path, "%d/%u");
	ck_assert(cfg->tls.tickets);
	ck_assert_uint_eq(cfg->nlistener, 0);
	ck_assert_int_eq(cfg->tls.minimum, PW_TLS_MINIMUM_1_2);
	pw_config_free(&cfg);
	ck_assert_ptr_null(cfg);
	pw_config_free(&cfg);
}
END_TEST

/* The words of the table and the constants of config.h and log.h. */
START_TEST(constants_agree)
{
	static const struct {
		const char *section, *key;
		int value;
		const char *word;
	} rows[] = {
		{ "tls", "minimum", PW_TLS_MINIMUM_1_2, "\"1.2\"" },
		{ "tls", "minimum", PW_TLS_MINIMUM_1_3, "\"1.3\"" },
		{ "stage", "role", PW_STAGE_ROLE_AUTO, "\"auto\"" },
		{ "stage", "role", PW_STAGE_ROLE_FRONT, "\"front\"" },
		{ "stage", "role", PW_STAGE_ROLE_SCAN, "\"scan\"" },
		{ "stage", "role", PW_STAGE_ROLE_BRIDGE, "\"bridge\"" },
		{ "stage", "on-error", PW_STAGE_ON_ERROR_DEFAULT,
		    "\"default\"" },
		{ "stage", "on-error", PW_STAGE_ON_ERROR_SKIP, "\"skip\"" },
		{ "stage", "on-error", PW_STAGE_ON_ERROR_TAG, "\"tag\"" },
		{ "stage", "on-error", PW_STAGE_ON_ERROR_TEMPFAIL,
		    "\"tempfail\"" },
		{ "stage", "on-error", PW_STAGE_ON_ERROR_HOLD, "\"hold\"" },
		{ "policy", "spf-fail", PW_POLICY_SPF_FAIL_INFORM,
		    "\"inform\"" },
		{ "policy", "spf-fail", PW_POLICY_SPF_FAIL_JUNK, "\"junk\"" },
		{ "policy", "spf-fail", PW_POLICY_SPF_FAIL_HOLD, "\"hold\"" },
		{ "policy", "spf-fail", PW_POLICY_SPF_FAIL_REFUSE,
		    "\"refuse\"" },
		{ "policy", "null-mx", PW_POLICY_NULL_MX_INFORM,
		    "\"inform\"" },
		{ "policy", "null-mx", PW_POLICY_NULL_MX_REFUSE,
		    "\"refuse\"" },
		{ "log", "level", PW_LOG_DEBUG, "\"debug\"" },
		{ "log", "level", PW_LOG_INFO, "\"info\"" },
		{ "log", "level", PW_LOG_NOTICE, "\"notice\"" },
		{ "log", "level", PW_LOG_WARN, "\"warn\"" },
		{ "log", "level", PW_LOG_ERROR, "\"error\"" },
		{ "log", "format", PW_LOG_KV, "\"kv\"" },
		{ "log", "format", PW_LOG_JSON, "\"json\"" },
	};

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		struct pw_strbuf s;
		pw_strbuf_init(&s, 100);
		pw_value_print(option(rows[i].section, rows[i].key),
		    &rows[i].value, &s);
		ck_assert_str_eq(pw_strbuf_cstr(&s), rows[i].word);
		pw_strbuf_free(&s);
	}
}
END_TEST

/* What is wrong and what to write, for each type. */
START_TEST(ranges_in_words)
{
	static const struct {
		const char *section, *key, *want;
	} rows[] = {
		{ "tls", "tickets", "true or false, without quotes" },
		{ "smtp", "max-hops", "a number from 10 to 1000" },
		{ "smtp", "max-line", "a size from 1000 to \"1M\"" },
		{ "dns", "timeout", "a time from \"100ms\" to \"60s\"" },
		{ "server", "hostname", "a text in quotes" },
		{ "server", "state-dir", "a path in quotes" },
		{ "log", "format", "\"kv\" or \"json\"" },
		{ "log", "level",
		    "\"debug\", \"info\", \"notice\", \"warn\" or "
		    "\"error\"" },
		{ "control", "admins",
		    "a list of texts, such as [ \"a\", \"b\" ]" },
	};

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		struct pw_strbuf s;
		pw_strbuf_init(&s, 200);
		pw_value_range(option(rows[i].section, rows[i].key), &s);
		ck_assert_str_eq(pw_strbuf_cstr(&s), rows[i].want);
		pw_strbuf_free(&s);
	}
}
END_TEST

START_TEST(limits_are_inclusive)
{
	const struct pw_option *o = option("smtp", "max-hops");
	static const struct {
		int64_t n;
		int rc;
	} rows[] = { { 9, -1 }, { 10, 0 }, { 1000, 0 }, { 1001, -1 },
		{ INT64_MIN, -1 }, { INT64_MAX, -1 } };
	struct pw_pool *pool = pw_pool_new(0);

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		struct pw_raw raw = { .kind = PW_RAW_NUMBER,
			.number = rows[i].n };
		struct pw_err err;
		int64_t v = 77;
		ck_assert_int_eq(pw_value_set(o, &raw, "/", pool, &v, &err),
		    rows[i].rc);
		ck_assert_int_eq(v, rows[i].rc == 0 ? rows[i].n : 77);
	}
	pw_pool_free(&pool);
}
END_TEST

START_TEST(quotes)
{
	struct pw_strbuf s;

	pw_strbuf_init(&s, 100);
	pw_value_quote(&s, "a\"b\\c");
	ck_assert_str_eq(pw_strbuf_cstr(&s), "\"a\\\"b\\\\c\"");
	pw_strbuf_free(&s);
}
END_TEST

START_TEST(nearest_names)
{
	static const char *const names[] = { "max-message", "max-messages",
		"max-line", "tls", "null-mx" };
	static const struct {
		const char *name, *want;
	} rows[] = {
		{ "max-mesage", "max-message" },
		{ "max_message", "max-message" },
		{ "MAX-MESSAGES", "max-messages" },
		{ "maxline", "max-line" },
		{ "max-lnie", "max-line" },
		{ "tsl", "tls" },
		{ "ssl", NULL },
		{ "xyz", NULL },
		{ "", NULL },
		{ "x", NULL },
		{ "something-else-entirely-that-is-very-long-indeed", NULL },
	};

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		const char *got =
		    pw_option_nearest(rows[i].name, names, PW_COUNT(names));
		if (rows[i].want == NULL)
			ck_assert_msg(got == NULL, "%s: %s", rows[i].name, got);
		else
			ck_assert_pstr_eq(got, rows[i].want);
	}
	ck_assert_ptr_null(pw_option_nearest("a", NULL, 0));
}
END_TEST

START_TEST(nets_hold_addresses)
{
	struct pw_netlist l = { NULL, 0 };
	struct pw_net nets[2];
	struct pw_ip ip;

	ck_assert_int_eq(pw_ip_parse(PW_LIT("192.0.2.9"), &ip), 0);
	ck_assert(!pw_netlist_has(&l, &ip));
	ck_assert_int_eq(pw_net_parse(PW_LIT("2001:db8::/32"), &nets[0]), 0);
	ck_assert_int_eq(pw_net_parse(PW_LIT("192.0.2.0/28"), &nets[1]), 0);
	l = (struct pw_netlist){ nets, 2 };
	ck_assert(pw_netlist_has(&l, &ip));
	ck_assert_int_eq(pw_ip_parse(PW_LIT("192.0.2.16"), &ip), 0);
	ck_assert(!pw_netlist_has(&l, &ip));
}
END_TEST

Suite *
pw_suite_config_value(void)
{
	Suite *s = suite_create("config/value");
	TCase *t = tcase_create("value");

	tcase_add_test(t, units_there_and_back);
	tcase_add_test(t, units_refused);
	tcase_add_test(t, defaults_fit);
	tcase_add_test(t, constants_agree);
	tcase_add_test(t, ranges_in_words);
	tcase_add_test(t, limits_are_inclusive);
	tcase_add_test(t, quotes);
	tcase_add_test(t, nearest_names);
	tcase_add_test(t, nets_hold_addresses);
	suite_add_tcase(s, t);
	return s;
}
