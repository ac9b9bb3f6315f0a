/* SPDX-License-Identifier: ISC */
/* Unit tests of server/config: show, reload, and the generated documents,
 * which must be what is checked in. */
#include "config_test.h"

#include <jansson.h>

Suite *pw_suite_config_show(void);

#define TEXT                                                                 \
	SERVER LISTENER                                                      \
	"smtp: {\n max-message = \"10M\"; max-hops = 20; };\n"               \
	"accounts: { postmaster = \"\\\"a\\\\b\\\"@example.test\"; };\n"

static void
has_line(const char *text, const char *line)
{
	const char *p = strstr(text, line);

	ck_assert_msg(p != NULL, "not there: %s", line);
	ck_assert(p == text || p[-1] == '\n');
}

START_TEST(show_text)
{
	char folder[32];
	struct pw_strbuf out;
	size_t n, lines = 0;

	enter_folder(folder);
	struct pw_config *cfg = load_text(TEXT, false, "");
	pw_strbuf_init(&out, 1 << 20);
	pw_config_show(cfg, false, &out);
	has_line(out.ptr, "server.hostname = \"mx.example.test\"  # t.conf:1; "
			  "Our name in the banner");
	has_line(out.ptr, "server.authserv-id = \"mx.example.test\"  # "
			  "default; ");
	has_line(out.ptr, "smtp.max-message = \"10M\"  # t.conf:4; Largest");
	has_line(out.ptr, "smtp.max-hops = 20  # t.conf:4; ");
	has_line(out.ptr, "smtp.max-line = \"64K\"  # default; ");
	has_line(out.ptr, "smtp.min-rate = 64  # default; ");
	has_line(out.ptr, "listener[0].port = 2525  # t.conf:2; ");
	has_line(out.ptr, "listener[0].stages = [ \"default\" ]  # default; ");
	has_line(out.ptr, "listener[0].proxy = [ ]  # default; ");
	has_line(out.ptr, "accounts.postmaster = "
			  "\"\\\"a\\\\b\\\"@example.test\"  # t.conf:5; ");
	for (const char *s = out.ptr; (s = strchr(s, '\n')) != NULL; s++)
		lines++;
	pw_option_table(&n);
	/* All but the rows of certificate[] and stage[]. */
	ck_assert_uint_eq(lines, n - pw_section_find("certificate")->n -
		pw_section_find("stage")->n -
	    pw_section_find("thresholds")->n);
	ck_assert_ptr_null(strstr(out.ptr, "stage["));
	pw_strbuf_free(&out);
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

START_TEST(show_json)
{
	char folder[32];
	struct pw_strbuf out;
	json_error_t err;
	json_t *e;
	size_t i, found = 0;

	enter_folder(folder);
	struct pw_config *cfg = load_text(TEXT, false, "");
	pw_strbuf_init(&out, 1 << 20);
	pw_config_show(cfg, true, &out);
	json_t *all = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES,
	    &err);
	ck_assert_msg(all != NULL, "%s: %s", err.text, out.ptr);
	json_array_foreach(all, i, e) {
		const char *name =
		    json_string_value(json_object_get(e, "name"));
		ck_assert_uint_eq(json_object_size(e), 7);
		if (strcmp(name, "accounts.postmaster") == 0) {
			found++;
			ck_assert_str_eq(json_string_value(
					     json_object_get(e, "value")),
			    "\"a\\b\"@example.test");
			ck_assert_str_eq(json_string_value(
					     json_object_get(e, "default")),
			    "");
			ck_assert(json_is_true(json_object_get(e, "set")));
			ck_assert_int_eq(json_integer_value(
					     json_object_get(e, "line")), 5);
		} else if (strcmp(name, "listener[0].tls") == 0) {
			found++;
			ck_assert(json_is_true(json_object_get(e, "value")));
			ck_assert(json_is_false(json_object_get(e, "set")));
			ck_assert(json_is_null(json_object_get(e, "file")));
		}
	}
	ck_assert_uint_eq(found, 2);
	json_decref(all);
	pw_strbuf_free(&out);
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

/* Every group of CFG as a file that sets every option. */
static void
write_all(const struct pw_config *cfg, struct pw_strbuf *out)
{
	size_t n, nopt;
	const struct pw_section *s = pw_section_table(&n);
	const struct pw_option *o = pw_option_table(&nopt);

	for (size_t i = 0; i < n; i++) {
		const struct pw_groups *g = pw_config_groups(cfg, &s[i]);
		pw_strbuf_addf(out, "%s: %s\n", s[i].name,
		    s[i].in_list ? "(" : "");
		for (size_t k = 0; k < g->n; k++) {
			pw_strbuf_adds(out, k > 0 ? ", {\n" : "{\n");
			for (size_t j = 0; j < s[i].n; j++) {
				const struct pw_option *opt =
				    &o[s[i].first + j];
				/* It would ask for a certificate. */
				if (s[i].in_list &&
				    strcmp(opt->key, "tls") == 0)
					continue;
				pw_strbuf_addf(out, "%s = ", opt->key);
				pw_value_print(opt,
				    (const char *)g->v[k].base + opt->offset,
				    out);
				pw_strbuf_adds(out, ";\n");
			}
			pw_strbuf_adds(out, "}");
		}
		pw_strbuf_adds(out, s[i].in_list ? ");\n" : ";\n");
	}
}

static void
same_value(const struct pw_row *row, void *arg)
{
	const struct pw_config *other = arg;
	const struct pw_groups *g = pw_config_groups(other, row->section);

	ck_assert_uint_lt(row->index, g->n);
	ck_assert_msg(pw_value_equal(row->opt, row->field,
			  (const char *)g->v[row->index].base +
			      row->opt->offset),
	    "%s.%s", row->opt->section, row->opt->key);
}

/* What is printed can be read, and is the same then. */
START_TEST(round_trip)
{
	char folder[32];
	char *text = source_file("tests/data/config/good-full.conf");
	struct pw_strbuf out;

	enter_folder(folder);
	struct pw_config *cfg = load_text(text, false, "");
	pw_strbuf_init(&out, 1 << 20);
	write_all(cfg, &out);
	struct pw_config *again = load_text(out.ptr, false, "");
	again->listener[0].tls = false;
	pw_config_walk(cfg, same_value, again);
	ck_assert_uint_eq(again->nlistener, cfg->nlistener);
	ck_assert_ptr_nonnull(strstr(out.ptr,
	    "proxy = [ \"192.0.2.64/26\", \"2001:db8::/32\" ];"));
	ck_assert_ptr_nonnull(strstr(out.ptr,
	    "normalize = [ \"10.1.2.3\", \"fe80::/10\" ];"));
	pw_strbuf_free(&out);
	pw_config_free(&cfg);
	pw_config_free(&again);
	free(text);
	leave_folder(folder);
}
END_TEST

static const struct {
	const char *text, *want;
} reloads[] = {
	{ TEXT, "" },
	{ SERVER "listener: ( { port = 2525; trusted = \"10.0.0.0/8\"; name = "
		 "\"x\"; } );\nsmtp: { max-hops = 30; };\n", "" },
	/* Listeners come, change and go. */
	{ SERVER "listener: (\n{ port = 26; } );\n", "" },
	{ SERVER "listener: ( { port = 2525; },\n{ port = 26; } );\n", "" },
	{ SERVER LISTENER "store: {\n writers = 8; rescan = \"1h\"; };\n"
			  "dns: { cache = \"1G\"; };\n",
	    "t.conf:5: dns.cache: \"64M\" is running and \"1G\" needs a "
	    "restart; restart, or write the running value\n"
	    "t.conf:4: store.writers: 2 is running and 8 needs a restart; "
	    "restart, or write the running value\n" },
	{ SERVER LISTENER "stage: ( { name = \"spf\"; } );\n", "" },
};

START_TEST(reload)
{
	char folder[32];
	struct pw_config *old, *new;

	enter_folder(folder);
	old = load_text(TEXT, false, "");
	for (size_t i = 0; i < PW_COUNT(reloads); i++) {
		struct pw_strbuf report;
		pw_strbuf_init(&report, 4096);
		new = load_text(reloads[i].text, false, "");
		int rc = pw_config_reload_ok(old, new, &report);
		ck_assert_str_eq(pw_strbuf_cstr(&report), reloads[i].want);
		ck_assert_int_eq(rc, reloads[i].want[0] == '\0' ? 0 : -1);
		pw_strbuf_free(&report);
		pw_config_free(&new);
	}
	pw_config_free(&old);
	leave_folder(folder);
}
END_TEST

/* A value that stands in the running file and is left out in the new one. */
START_TEST(reload_to_default)
{
	char folder[32];
	struct pw_strbuf report;

	enter_folder(folder);
	struct pw_config *old = load_text(SERVER LISTENER
	    "store: { writers = 8; };\n", false, "");
	struct pw_config *new = load_text(SERVER LISTENER "store: { };\n",
	    false, "");
	pw_strbuf_init(&report, 4096);
	ck_assert_int_eq(pw_config_reload_ok(old, new, &report), -1);
	ck_assert_str_eq(pw_strbuf_cstr(&report),
	    "t.conf:3: store.writers: 8 is running and 2 needs a restart; "
	    "restart, or write the running value\n");
	pw_strbuf_free(&report);
	pw_config_free(&old);
	pw_config_free(&new);
	leave_folder(folder);
}
END_TEST

/* The checked-in texts are what the table makes of itself. */
START_TEST(documents)
{
	struct pw_strbuf out;
	char *have;

	pw_strbuf_init(&out, 1 << 20);
	have = source_file("server/config/postward.conf.5");
	pw_config_man(&out);
	ck_assert_msg(strcmp(have, pw_strbuf_cstr(&out)) == 0,
	    "server/config/postward.conf.5 is not what gendoc man prints");
	free(have);
	pw_strbuf_reset(&out);
	have = source_file("server/config/postward.conf.example");
	pw_config_example(&out);
	ck_assert_msg(strcmp(have, pw_strbuf_cstr(&out)) == 0,
	    "server/config/postward.conf.example is not what gendoc example "
	    "prints");
	free(have);
	pw_strbuf_free(&out);
}
END_TEST

/* The example with every option that stands in a comment set. */
static void
uncomment(const char *text, struct pw_strbuf *out)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n"), tabs = strspn(text, "\t");
		/* "# words" is a comment, "#word" one that is to be set. */
		if (text[tabs] == '#' && text[tabs + 1] != ' ')
			pw_strbuf_add(out,
			    pw_bytes(text + tabs + 1, len - tabs - 1));
		else
			pw_strbuf_add(out, pw_bytes(text, len));
		pw_strbuf_addc(out, '\n');
		text += len + (text[len] != '\0' ? 1 : 0);
	}
}

static void
nothing_differs(const struct pw_row *row, void *arg)
{
	const struct pw_config *defaults = arg;
	const struct pw_groups *g = pw_config_groups(defaults, row->section);
	char name[80];

	pw_option_name(name, sizeof(name), row->opt, row->index);
	ck_assert_msg(row->at->file != NULL, "%s is not set", name);
	if (row->section->in_list)
		return;
	ck_assert_msg(pw_value_equal(row->opt, row->field,
			  (const char *)g->v[0].base + row->opt->offset),
	    "%s differs", name);
}

/* As it is, the example means the defaults and one listener; with every line
 * set it means the same, so each line can be read back. */
START_TEST(example_is_true)
{
	char folder[32];
	struct pw_strbuf text, all, report;
	struct pw_config *defaults = pw_config_defaults();
	struct pw_config *cfg = pw_config_defaults();
	struct pw_config_report r;

	enter_folder(folder);
	pw_strbuf_init(&text, 1 << 20);
	pw_strbuf_init(&all, 1 << 20);
	pw_strbuf_init(&report, 1 << 20);
	pw_config_example(&text);
	write_file("t.conf", text.ptr, text.len);
	pw_report_init(&r, cfg);
	ck_assert_int_eq(pw_config_parse(cfg, "t.conf", &r), 0);
	ck_assert_uint_eq(r.errors, 0);
	ck_assert_uint_eq(cfg->nlistener, 1);
	ck_assert_int_eq(cfg->listener[0].port, 25);
	ck_assert_uint_eq(cfg->ncertificate + cfg->nstage, 0);
	pw_config_free(&cfg);

	uncomment(text.ptr, &all);
	write_file("t.conf", all.ptr, all.len);
	cfg = pw_config_defaults();
	pw_report_init(&r, cfg);
	int rc = pw_config_parse(cfg, "t.conf", &r);
	pw_report_print(&r, &report);
	ck_assert_str_eq(pw_strbuf_cstr(&report), "");
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(cfg->nlistener, 1);
	ck_assert_uint_eq(cfg->ncertificate, 1);
	ck_assert_uint_eq(cfg->nstage, 1);
	pw_config_walk(cfg, nothing_differs, defaults);
	pw_report_free(&r);
	pw_config_free(&cfg);
	pw_config_free(&defaults);
	pw_strbuf_free(&text);
	pw_strbuf_free(&all);
	pw_strbuf_free(&report);
	leave_folder(folder);
}
END_TEST

/* The examples of the manual page can be parsed. */
START_TEST(manual_examples)
{
	char folder[32];
	char *man = source_file("server/config/postward.conf.5");
	const char *p = man;
	unsigned n = 0;

	enter_folder(folder);
	while ((p = strstr(p, "\n.EX\n")) != NULL) {
		struct pw_strbuf text, report;
		struct pw_config *cfg = pw_config_defaults();
		struct pw_config_report r;
		p += 5;
		const char *end = strstr(p, ".EE\n");
		ck_assert_ptr_nonnull(end);
		pw_strbuf_init(&text, 4096);
		pw_strbuf_init(&report, 4096);
		for (const char *s = p; s < end; s++)
			if (*s != '\\')
				pw_strbuf_addc(&text, *s);
		/* The others are commands and forms of lines. */
		if (strstr(text.ptr, "listener: (") != NULL) {
			n++;
			write_file("t.conf", text.ptr, text.len);
			pw_report_init(&r, cfg);
			ck_assert_int_eq(pw_config_parse(cfg, "t.conf", &r),
			    0);
			pw_report_print(&r, &report);
			ck_assert_str_eq(pw_strbuf_cstr(&report), "");
			ck_assert_uint_ge(cfg->nlistener, 1);
			pw_report_free(&r);
		}
		pw_config_free(&cfg);
		pw_strbuf_free(&text);
		pw_strbuf_free(&report);
	}
	ck_assert_uint_eq(n, 2);
	free(man);
	leave_folder(folder);
}
END_TEST

Suite *
pw_suite_config_show(void)
{
	Suite *s = suite_create("config/show");
	TCase *t = tcase_create("show");

	tcase_add_test(t, show_text);
	tcase_add_test(t, show_json);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, reload);
	tcase_add_test(t, reload_to_default);
	tcase_add_test(t, documents);
	tcase_add_test(t, example_is_true);
	tcase_add_test(t, manual_examples);
	suite_add_tcase(s, t);
	return s;
}
