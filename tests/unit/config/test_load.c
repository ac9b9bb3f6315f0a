/* SPDX-License-Identifier: ISC */
/* Unit tests of server/config: files, includes, syntax, and the data files of
 * tests/data/config, each of which holds the report that it must give. */
#include "config_test.h"

#include <dirent.h>
#include <sys/stat.h>

Suite *pw_suite_config_load(void);

static const char *const stages[] = { "iprev", "spf", "dkim", "nullmx" };

/* The lines of TEXT that begin "#! ", without that. */
static void
expected(const char *text, struct pw_strbuf *out)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		if (strncmp(text, "#! ", 3) == 0) {
			pw_strbuf_add(out, pw_bytes(text + 3, len - 3));
			pw_strbuf_addc(out, '\n');
		}
		text += len + (text[len] != '\0' ? 1 : 0);
	}
}

static void
try_data_file(const char *name)
{
	char path[512];
	struct pw_strbuf want, report;
	struct pw_config *cfg;

	snprintf(path, sizeof(path), "tests/data/config/%s", name);
	char *text = source_file(path);
	pw_strbuf_init(&want, 1 << 20);
	pw_strbuf_init(&report, 1 << 20);
	expected(text, &want);
	ck_assert_int_eq(strncmp(name, "good-", 5) == 0, want.len == 0);
	snprintf(path, sizeof(path), "%s", name);
	int rc = pw_config_load(path, false, &cfg, &report);
	ck_assert_str_eq(pw_strbuf_cstr(&report), pw_strbuf_cstr(&want));
	ck_assert_int_eq(rc, strncmp(name, "bad-", 4) == 0 ? -1 : 0);
	ck_assert_int_eq(rc == 0, cfg != NULL);
	pw_config_free(&cfg);
	pw_strbuf_free(&want);
	pw_strbuf_free(&report);
	free(text);
}

/* The reports name files as the program was told, so it runs beside them. */
static DIR *
enter_data(void)
{
	const char *src = getenv("POSTWARD_SRC");
	static char path[4096], abs[4096];

	if (src == NULL)
		src = ".";
	ck_assert_ptr_nonnull(realpath(src, abs));
	ck_assert_int_eq(setenv("POSTWARD_SRC", abs, 1), 0);
	snprintf(path, sizeof(path), "%.4000s/tests/data/config", abs);
	ck_assert_int_eq(chdir(path), 0);
	return opendir(".");
}

START_TEST(data_files)
{
	DIR *dir = enter_data();
	struct dirent *e;
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	pw_config_set_stage_names(stages, PW_COUNT(stages));
	while ((e = readdir(dir)) != NULL) {
		size_t len = strlen(e->d_name);
		if (len < 6 || strcmp(e->d_name + len - 5, ".conf") != 0)
			continue;
		try_data_file(e->d_name);
		n++;
	}
	closedir(dir);
	ck_assert_uint_ge(n, 16);
}
END_TEST

/* The values of good-full.conf, one of each way of writing. */
START_TEST(values_arrive)
{
	DIR *dir = enter_data();
	struct pw_config *cfg;
	struct pw_strbuf report;
	struct pw_ip ip;
	char want[4096];

	closedir(dir);
	pw_strbuf_init(&report, 1 << 20);
	ck_assert_int_eq(pw_config_load("good-full.conf", false, &cfg,
			     &report), 0);
	snprintf(want, sizeof(want), "%.4000s/tests/data/config/state",
	    getenv("POSTWARD_SRC"));
	ck_assert_str_eq(cfg->server.state_dir, want);
	ck_assert_str_eq(cfg->server.run_dir, "/run/postward-test");
	ck_assert_int_eq(cfg->file[0], '/');
	ck_assert_str_eq(cfg->server.authserv_id, "example");
	ck_assert_int_eq(cfg->server.front_threads, 4);
	ck_assert_uint_eq(cfg->nlistener, 3);
	ck_assert_str_eq(cfg->listener[1].name, "six");
	ck_assert_int_eq(cfg->listener[2].port, 2525);
	ck_assert_int_eq(cfg->listener[2].backlog, 1024);
	ck_assert(!cfg->listener[0].tls && cfg->listener[1].tls);
	ck_assert_uint_eq(cfg->listener[0].stages.n, 2);
	ck_assert_str_eq(cfg->listener[0].stages.v[1], "spf");
	ck_assert_uint_eq(cfg->listener[2].stages.n, 1);
	ck_assert_str_eq(cfg->listener[2].stages.v[0], "default");
	ck_assert_int_eq(pw_ip_parse(PW_LIT("10.9.9.9"), &ip), 0);
	ck_assert(pw_netlist_has(&cfg->listener[0].trusted, &ip));
	ck_assert(!pw_netlist_has(&cfg->listener[0].normalize, &ip));
	ck_assert_uint_eq(cfg->listener[0].normalize.n, 2);
	ck_assert_int_eq(cfg->tls.minimum, PW_TLS_MINIMUM_1_3);
	ck_assert(!cfg->tls.tickets && cfg->tls.requiretls);
	ck_assert_uint_eq(cfg->smtp.max_message, UINT64_C(2) << 30);
	ck_assert_uint_eq(cfg->smtp.max_header, 16384);
	ck_assert_uint_eq(cfg->smtp.data_timeout, 500000);
	ck_assert_uint_eq(cfg->smtp.session_timeout, 86400000);
	ck_assert_uint_eq(cfg->smtp.memory_budget, UINT64_C(1) << 36);
	ck_assert_uint_eq(cfg->store.min_free, 3000000000);
	ck_assert_int_eq(cfg->store.quota_grace, 0);
	ck_assert_str_eq(cfg->dns.trust_anchor, "");
	ck_assert_uint_eq(cfg->nstage, 2);
	ck_assert_int_eq(cfg->stage[0].on_error, PW_STAGE_ON_ERROR_TEMPFAIL);
	ck_assert_uint_eq(cfg->stage[0].timeout, 5000);
	ck_assert(cfg->stage[1].shadow);
	ck_assert_int_eq(cfg->policy.spf_fail, PW_POLICY_SPF_FAIL_JUNK);
	ck_assert_uint_eq(cfg->policy.weights.n, 3);
	ck_assert_uint_eq(cfg->control.admins.n, 1);
	ck_assert(pw_config_is_set(cfg, "smtp", 0, "min-rate"));
	ck_assert(!pw_config_is_set(cfg, "smtp", 0, "max-hops"));
	ck_assert(pw_config_is_set(cfg, "listener", 1, "address"));
	ck_assert(!pw_config_is_set(cfg, "listener", 1, "proxy"));
	ck_assert(!pw_config_is_set(cfg, "listener", 9, "proxy"));
	pw_config_free(&cfg);
	pw_strbuf_free(&report);
}
END_TEST

/* Texts that cannot be parsed, and the one line that each gives. */
static const struct {
	const char *text, *want;
} broken[] = {
	{ "smtp: {\n max-line = \"2K;\n max-hops = 50;\n};\n",
	    "t.conf:2: syntax: a quote is not closed on its line; write \" at "
	    "the end of the text\n" },
	{ "a = \"x;\nb = \"y\\\";\n",
	    "t.conf:1: syntax: a quote is not closed on its line; write \" at "
	    "the end of the text\n"
	    "t.conf:2: syntax: a quote is not closed on its line; write \" at "
	    "the end of the text\n" },
	{ "smtp: {\n max-line = 2000;\n\nlog: { };\n",
	    "t.conf:1: syntax: a bracket is not closed; write '}' where its "
	    "content ends in t.conf\n" },
	{ "listener: (\n { port = 25; );\n",
	    "t.conf:2: syntax: ')' cannot close what was opened at t.conf:2; "
	    "write '}' first\n" },
	{ "\n}\n",
	    "t.conf:2: syntax: '}' closes nothing; remove it, or write what "
	    "it closes\n" },
	{ "a = ((((((((1))))))));\nb = (((((((((1)))))))));\n",
	    "t.conf:2: syntax: more than 8 brackets are open; close those "
	    "before\n" },
	{ "# x\n/* a\n /* b\n", "t.conf:2: syntax: a comment is not closed; "
				"write */ at its end\n" },
	{ "smtp: {\n max-hops 50;\n};\n",
	    "t.conf:2: syntax: syntax error near `max-hops 50;`; write NAME = "
	    "VALUE; in a section, and a text in quotes (the fault may be one "
	    "line before)\n" },
	{ "smtp: {\n max-hops = 50;\n max-hops = \"51\";\n};\n",
	    "t.conf:3: syntax: duplicate setting name near `max-hops = "
	    "\"51\";`; keep one of the two\n" },
	{ "log: {\n target \"syslog\";\n};\n",
	    "t.conf:2: syntax: a text stands where none can; write NAME = "
	    "before it\n" },
	{ "\"x\" = 1;\n", "t.conf:1: syntax: a text stands where none can; "
			  "write NAME = before it\n" },
	{ "log: { target = \"syslog\", \"debug\"; };\n",
	    "t.conf:1: syntax: a text stands where none can; write NAME = "
	    "before it\n" },
	{ "smtp: { };\n\nsmtp: { };\n",
	    "t.conf:3: syntax: duplicate setting name near `smtp: { };`; keep "
	    "one of the two\n" },
	{ "control: {\n admins = [ \"a\", 5 ];\n};\n",
	    "t.conf:2: syntax: mismatched element type in array near `admins "
	    "= [ \"a\", 5 ];`; put every element in quotes\n" },
	{ "smtp: { max-hops = 0x50;\nmax-line = 99999999999999999999; };\n",
	    "t.conf:1: syntax: 0x50 is a hexadecimal number; write it in "
	    "decimal\n"
	    "t.conf:2: syntax: 99999999999999999999 is too large a number; "
	    "write a smaller one\n" },
	{ "@include \"a\"\n",
	    "t.conf:1: file: \"a\" cannot be read: No such file or directory; "
	    "write the path of a file that can be read\n" },
	{ "\n@include \".\"\n", "t.conf:2: file: \".\" is not a file; write "
				"the path of a file\n" },
	{ "@include \"fifo\"\n", "t.conf:1: file: \"fifo\" is not a file; "
				 "write the path of a file\n" },
	{ "@include a\n", "t.conf:1: @include: this is no include; write "
			  "@include \"FILE\" on a line of its own\n" },
	{ "@include \"a\" b\n", "t.conf:1: @include: this is no include; "
				"write @include \"FILE\" on a line of its "
				"own\n" },
	{ "@include \"\"\n", "t.conf:1: @include: this is no include; write "
			     "@include \"FILE\" on a line of its own\n" },
	{ "@include \"t.conf\"\n", "t.conf:1: @include: the file includes "
				   "itself; remove the line\n" },
};

START_TEST(syntax)
{
	char folder[32];

	enter_folder(folder);
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	for (size_t i = 0; i < PW_COUNT(broken); i++)
		ck_assert_ptr_null(
		    load_text(broken[i].text, false, broken[i].want));
	leave_folder(folder);
}
END_TEST

/* Each beginning of a file either loads or says why not, at a line of it. */
START_TEST(cut_short)
{
	char folder[32];
	char *text = source_file("tests/data/config/good-full.conf");
	size_t len = strlen(text);

	enter_folder(folder);
	for (size_t n = 0; n < len; n += 1) {
		struct pw_config *cfg;
		struct pw_strbuf report;
		write_file("t.conf", text, n);
		pw_strbuf_init(&report, 1 << 20);
		int rc = pw_config_load("t.conf", false, &cfg, &report);
		ck_assert_msg(rc == 0 ||
			strncmp(pw_strbuf_cstr(&report), "t.conf:", 7) == 0,
		    "%zu: %s", n, pw_strbuf_cstr(&report));
		pw_config_free(&cfg);
		pw_strbuf_free(&report);
	}
	free(text);
	leave_folder(folder);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	char folder[32];
	struct pw_config *cfg;
	struct pw_strbuf report;

	enter_folder(folder);
	write_file("t.conf", "smtp: {\n\0};\n", 12);
	pw_strbuf_init(&report, 4096);
	ck_assert_int_eq(pw_config_load("t.conf", false, &cfg, &report), -1);
	ck_assert_str_eq(pw_strbuf_cstr(&report),
	    "t.conf:2: file: a NUL byte; write plain text\n");
	pw_strbuf_free(&report);
	/* Carriage returns before line feeds are harmless. */
	cfg = load_text("server: {\r\n hostname = \"mx.example.test\";\r\n"
			" user-front = \"nobody\"; user-store = \"mail\";\r\n"
			"};\r\n# x\r\nlistener: ( { port = 2525; } );\r\n",
	    false, "");
	ck_assert_ptr_nonnull(cfg);
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

START_TEST(includes)
{
	char folder[32], text[200];
	struct pw_config *cfg;

	enter_folder(folder);
	/* One around the other. */
	write_file("a", "@include \"b\"\n", 13);
	write_file("b", "\n@include \"a\"\n", 14);
	ck_assert_ptr_null(load_text("@include \"a\"\n", false,
	    "b:2: @include: the file includes itself; remove the line\n"));
	/* One twice is none around the other; a path may be absolute. */
	write_file("a", "max-hops = 42;", 14);
	snprintf(text, sizeof(text),
	    SERVER LISTENER "smtp: {\n@include \"%s/a\"\n};\n", folder);
	cfg = load_text(text, false, "");
	ck_assert_int_eq(cfg->smtp.max_hops, 42);
	pw_config_free(&cfg);
	/* A comment or a text that only looks like one. */
	cfg = load_text(SERVER LISTENER "/*\n@include \"nowhere\"\n*/\n"
					"#@include \"nowhere\"\n",
	    false, "");
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

START_TEST(include_bounds)
{
	char folder[32];
	struct pw_strbuf text;

	enter_folder(folder);
	write_file("a", "# nothing\n", 10);
	pw_strbuf_init(&text, 1 << 20);
	for (int i = 0; i < PW_CONFIG_MAX_FILES + 1; i++)
		pw_strbuf_adds(&text, "@include \"a\"\n");
	ck_assert_ptr_null(load_text(pw_strbuf_cstr(&text), false,
	    "t.conf:101: @include: more than 100 files are included; write "
	    "fewer\n"));
	pw_strbuf_free(&text);
	/* All files together count: three of 400 KB are too much. */
	char *big = calloc(1, 400001);
	ck_assert_ptr_nonnull(big);
	memset(big, '\n', 400000);
	write_file("a", big, 400000);
	free(big);
	ck_assert_ptr_null(load_text(
	    "@include \"a\"\n@include \"a\"\n@include \"a\"\n", false,
	    "t.conf:3: file: with \"a\" the configuration is larger than "
	    "1048576 bytes; write less\n"));
	/* Depth: hard links of one file would be one file, so nine files. */
	for (int i = 0; i < 10; i++) {
		char name[8], line[32];
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(line, sizeof(line), "@include \"n%d\"\n", i + 1);
		write_file(name, line, strlen(line));
	}
	ck_assert_ptr_null(load_text("@include \"n0\"\n", false,
	    "n7:1: @include: more than 8 files include one another; write "
	    "less deep\n"));
	for (int i = 0; i < 10; i++) {
		char name[8];
		snprintf(name, sizeof(name), "n%d", i);
		unlink(name);
	}
	leave_folder(folder);
}
END_TEST

/* Bounds that keep a strange file from costing much. */
START_TEST(size_bounds)
{
	char folder[32];
	struct pw_strbuf text;

	enter_folder(folder);
	pw_strbuf_init(&text, 4u << 20);
	while (text.len <= PW_CONFIG_MAX_BYTES)
		pw_strbuf_adds(&text, "# a comment that is rather long\n");
	ck_assert_ptr_null(load_text(pw_strbuf_cstr(&text), false,
	    "t.conf:1: file: with \"t.conf\" the configuration is larger than "
	    "1048576 bytes; write less\n"));
	pw_strbuf_reset(&text);
	for (int i = 0; i < PW_CONFIG_MAX_SETTINGS + 5; i++)
		pw_strbuf_addf(&text, "k%d = 1;\n", i);
	ck_assert_ptr_null(load_text(pw_strbuf_cstr(&text), false,
	    "t.conf:10001: file: more than 10000 settings; write fewer\n"));
	pw_strbuf_reset(&text);
	pw_strbuf_adds(&text, SERVER LISTENER "certificate: (");
	for (int i = 0; i < PW_CONFIG_MAX_GROUPS + 1; i++)
		pw_strbuf_addf(&text, "%s{}", i > 0 ? "," : "");
	pw_strbuf_adds(&text, ");\n");
	ck_assert_ptr_null(load_text(pw_strbuf_cstr(&text), false,
	    "t.conf:3: certificate: 1001 groups are too many; write at most "
	    "1000\n"));
	pw_strbuf_free(&text);
	leave_folder(folder);
}
END_TEST

START_TEST(long_reports_end)
{
	char folder[32];
	struct pw_strbuf text, report;
	struct pw_config *cfg;
	unsigned lines = 0;

	enter_folder(folder);
	pw_strbuf_init(&text, 1 << 20);
	pw_strbuf_init(&report, 1 << 20);
	pw_strbuf_adds(&text, SERVER LISTENER);
	for (int i = 0; i < 250; i++)
		pw_strbuf_addf(&text, "zz%d = 1;\n", i);
	write_file("t.conf", text.ptr, text.len);
	ck_assert_int_eq(pw_config_load("t.conf", false, &cfg, &report), -1);
	for (const char *s = report.ptr; (s = strchr(s, '\n')) != NULL; s++)
		lines++;
	ck_assert_uint_eq(lines, PW_CONFIG_MAX_REPORT + 1);
	ck_assert_ptr_nonnull(strstr(report.ptr, "\nand 150 more\n"));
	pw_strbuf_free(&text);
	pw_strbuf_free(&report);
	leave_folder(folder);
}
END_TEST

START_TEST(no_file)
{
	struct pw_config *cfg;
	struct pw_strbuf report;

	pw_strbuf_init(&report, 4096);
	ck_assert_int_eq(pw_config_load("/nonexistent/x\n.conf", false, &cfg,
			     &report), -1);
	ck_assert_ptr_null(cfg);
	ck_assert_str_eq(pw_strbuf_cstr(&report),
	    "/nonexistent/x\\x0a.conf:1: file: \"/nonexistent/x\\x0a.conf\" "
	    "cannot be read: No such file or directory; write the path of a "
	    "file that can be read\n");
	pw_strbuf_free(&report);
}
END_TEST

Suite *
pw_suite_config_load(void)
{
	Suite *s = suite_create("config/load");
	TCase *t = tcase_create("load");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, data_files);
	tcase_add_test(t, values_arrive);
	tcase_add_test(t, syntax);
	tcase_add_test(t, cut_short);
	tcase_add_test(t, bytes_that_are_no_text);
	tcase_add_test(t, includes);
	tcase_add_test(t, include_bounds);
	tcase_add_test(t, size_bounds);
	tcase_add_test(t, long_reports_end);
	tcase_add_test(t, no_file);
	suite_add_tcase(s, t);
	return s;
}
