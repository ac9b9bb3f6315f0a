/* SPDX-License-Identifier: ISC */
/* Unit tests of server/config: checks that need files, users or a hook. */
#include "config_test.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/stat.h>

Suite *pw_suite_config_check(void);

static void
write_key(const char *name, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(PEM_write_PrivateKey(f, key,
			     passphrase != NULL ? EVP_aes_128_cbc() : NULL,
			     (const unsigned char *)passphrase,
			     passphrase != NULL ? (int)strlen(passphrase) : 0,
			     NULL, NULL), 1);
	fclose(f);
	ck_assert_int_eq(chmod(name, 0600), 0);
}

/* A certificate of KEY, valid from FROM to TO seconds from now. */
static void
write_cert(const char *name, EVP_PKEY *key, long from, long to)
{
	X509 *x = X509_new();
	FILE *f = fopen(name, "w");

	ck_assert(x != NULL && f != NULL);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), to);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_ASC, (const unsigned char *)"mx.example.test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_X509(f, x), 1);
	fclose(f);
	X509_free(x);
}

static void
write_tls_files(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");

	ck_assert(key != NULL && other != NULL);
	write_key("key.pem", key, NULL);
	write_key("other.pem", other, NULL);
	write_key("secret.pem", key, "open sesame");
	write_cert("cert.pem", key, -3600, 3600);
	write_cert("old.pem", key, -7200, -3600);
	write_cert("new.pem", key, 3600, 7200);
	write_file("a", "hello\n", 6);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static const struct {
	const char *chain, *key;
	const char *want; /* FOLDER stands for the test's folder */
	bool good;
} certificates[] = {
	{ "cert.pem", "key.pem", "", true },
	{ "cert.pem", "other.pem",
	    "t.conf:3: certificate.key: \"FOLDER/other.pem\" is not the key of "
	    "the certificate in chain; write the path of the one that belongs "
	    "to it\n", false },
	{ "cert.pem", "secret.pem",
	    "t.conf:3: certificate.key: \"FOLDER/secret.pem\" is encrypted; "
	    "write the path of a key without passphrase\n", false },
	{ "cert.pem", "cert.pem",
	    "warning: t.conf:3: certificate.key: every user can read the key "
	    "\"FOLDER/cert.pem\"; write chmod 600 for it\n"
	    "t.conf:3: certificate.key: \"FOLDER/cert.pem\" holds no private "
	    "key; write the path of a PEM file\n", false },
	{ "a", "key.pem",
	    "t.conf:3: certificate.chain: \"FOLDER/a\" holds no usable "
	    "certificate: no start line; write the path of a PEM file\n",
	    false },
	{ "old.pem", "key.pem",
	    "warning: t.conf:3: certificate.chain: the certificate has "
	    "expired; write the path of a new one\n", true },
	{ "new.pem", "key.pem",
	    "warning: t.conf:3: certificate.chain: the certificate is not "
	    "valid yet; check the clock, or write the path of another one\n",
	    true },
	{ "cert.pem", "none.pem",
	    "t.conf:3: certificate.key: \"FOLDER/none.pem\" cannot be read: No "
	    "such file or directory; write the path of a PEM file\n", false },
};

/* TEXT with FOLDER replaced. */
static void
fill_in(const char *text, const char *folder, char *out, size_t size)
{
	const char *p;

	out[0] = '\0';
	while ((p = strstr(text, "FOLDER")) != NULL) {
		size_t len = strlen(out);
		snprintf(out + len, size - len, "%.*s%s", (int)(p - text), text,
		    folder);
		text = p + 6;
	}
	size_t len = strlen(out);
	snprintf(out + len, size - len, "%s", text);
}

START_TEST(certificates_fit)
{
	char folder[32], text[600], want[1000];

	enter_folder(folder);
	write_tls_files();
	ck_assert_int_eq(chmod("cert.pem", 0644), 0);
	for (size_t i = 0; i < PW_COUNT(certificates); i++) {
		snprintf(text, sizeof(text),
		    SERVER LISTENER
		    "certificate: ( { chain = \"%s\"; key = \"%s\"; } );\n",
		    certificates[i].chain, certificates[i].key);
		fill_in(certificates[i].want, folder, want, sizeof(want));
		struct pw_config *cfg = load_text(text, false, want);
		ck_assert_int_eq(cfg != NULL, certificates[i].good);
		pw_config_free(&cfg);
	}
	leave_folder(folder);
}
END_TEST

/* An admin's own login may read the chain, but not the key. */
START_TEST(key_of_others)
{
	char folder[32], want[600];
	static const char text[] =
	    SERVER LISTENER
	    "certificate: ( { chain = \"cert.pem\"; key = \"key.pem\"; } );\n"
	    "dns: { trust-anchor = \"\"; };\n"
	    "store: { mail-root = \"/tmp\"; };\n";

	enter_folder(folder);
	write_tls_files();
	ck_assert_int_eq(chmod(".", 0777), 0);
	ck_assert_int_eq(chmod("key.pem", 0), 0);
	write_file("t.conf", "", 0);
	ck_assert_int_eq(chmod("t.conf", 0666), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	struct pw_config *cfg = load_text(text, false, "");
	ck_assert_ptr_nonnull(cfg);
	pw_config_free(&cfg);
	struct pw_strbuf report;
	pw_strbuf_init(&report, 4096);
	ck_assert_int_eq(pw_config_load("t.conf", true, &cfg, &report), -1);
	fill_in("t.conf:3: certificate.key: \"FOLDER/key.pem\" cannot be read: "
		"Permission denied; write the path of a PEM file\n", folder,
	    want, sizeof(want));
	ck_assert_msg(strstr(pw_strbuf_cstr(&report), want) != NULL, "%s",
	    pw_strbuf_cstr(&report));
	pw_strbuf_free(&report);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	leave_folder(folder);
}
END_TEST

/* A listener that says tls = true is content with a certificate. */
START_TEST(certificate_for_tls)
{
	char folder[32];

	enter_folder(folder);
	write_tls_files();
	struct pw_config *cfg = load_text(
	    SERVER "listener: ( { tls = true; } );\n"
		   "certificate: ( { chain = \"cert.pem\"; key = \"key.pem\"; "
		   "} );\n", false, "");
	ck_assert_ptr_nonnull(cfg);
	ck_assert_uint_eq(cfg->ncertificate, 1);
	ck_assert_int_eq(cfg->certificate[0].chain[0], '/');
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

/* Without hostname: the machine's, or a line that says what to write. */
START_TEST(own_name)
{
	char folder[32];
	struct pw_config *cfg;
	struct pw_strbuf report;

	enter_folder(folder);
	write_file("t.conf", LISTENER, strlen(LISTENER));
	pw_strbuf_init(&report, 4096);
	if (pw_config_load("t.conf", false, &cfg, &report) == 0) {
		ck_assert_ptr_nonnull(strchr(cfg->server.hostname, '.'));
		ck_assert_str_eq(cfg->server.authserv_id,
		    cfg->server.hostname);
	} else {
		ck_assert_msg(strstr(pw_strbuf_cstr(&report),
				  "t.conf:1: server.") != NULL, "%s",
		    pw_strbuf_cstr(&report));
	}
	pw_config_free(&cfg);
	pw_strbuf_free(&report);
	cfg = load_text(SERVER LISTENER, false, "");
	ck_assert_str_eq(cfg->server.authserv_id, "mx.example.test");
	ck_assert(!pw_config_is_set(cfg, "server", 0, "authserv-id"));
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

#define NO_USER                                                              \
	"server: { hostname = \"mx.example.test\"; user-front = "            \
	"\"no-such-user\";\nuser-store = \"nobody\"; };\n" LISTENER
#define SAME_USER                                                            \
	"server: { hostname = \"mx.example.test\"; user-front = "            \
	"\"nobody\";\nuser-store = \"nobody\"; };\n" LISTENER

/* Users matter to root only; another login runs all roles itself. */
START_TEST(users)
{
	char folder[32];
	bool root = geteuid() == 0;

	enter_folder(folder);
	struct pw_config *cfg = load_text(NO_USER, false, !root ? "" :
	    "t.conf:1: server.user-front: there is no user \"no-such-user\"; "
	    "write one that exists, or make it: adduser --system --group "
	    "--no-create-home no-such-user\n");
	pw_config_free(&cfg);
	cfg = load_text(SAME_USER, false, !root ? "" :
	    "t.conf:2: server.user-store: it is the user of the role front, "
	    "which must not read mail; write another one\n");
	pw_config_free(&cfg);
	leave_folder(folder);
}
END_TEST

#define DEEP_GOOD                                                            \
	"server: { hostname = \"mx.example.test\"; user-front = \"nobody\";" \
	" user-store = \"mail\"; state-dir = \"s\"; run-dir = \"r/u/n\"; }"  \
	";\nstore: { mail-root = \"m\"; };\n"
#define NO_TLS                                                               \
	"warning: t.conf:1: certificate: there is none, so mail comes in "   \
	"without TLS; write certificate: ( { chain = \"FILE\"; key = "       \
	"\"FILE\"; } );\n"

START_TEST(deep)
{
	char folder[32], want[2000];
	struct pw_config *cfg;

	enter_folder(folder);
	write_file("a", "x\n", 2);
	cfg = load_text(DEEP_GOOD "dns: { trust-anchor = \"a\"; };\n" LISTENER,
	    true, NO_TLS);
	ck_assert_ptr_nonnull(cfg);
	pw_config_free(&cfg);
	ck_assert_int_eq(access("s", F_OK), -1);
	fill_in(NO_TLS
	    "t.conf:2: server.state-dir: \"FOLDER/a\" is not a folder; write "
	    "the path of one\n"
	    "t.conf:3: server.run-dir: \"FOLDER/a/b\": Not a directory; write "
	    "a path that can be reached\n"
	    "t.conf:4: store.mail-root: \"/dev/null\" is not a folder; write "
	    "the path of one\n"
	    "t.conf:6: dns.trust-anchor: \"FOLDER/none\" cannot be read: No "
	    "such file or directory; write the path of a file that can be "
	    "read, or \"\"\n"
	    "t.conf:7: dns.root-hints: \"/dev\" is not a file; write the path "
	    "of one, or \"\"\n", folder, want, sizeof(want));
	ck_assert_ptr_null(load_text(
	    "server: { hostname = \"mx.example.test\"; user-front = "
	    "\"nobody\"; user-store = \"mail\";\n state-dir = \"a\";\n "
	    "run-dir = \"a/b\"; };\nstore: { mail-root = \"/dev/null\"; };\n"
	    LISTENER "dns: { trust-anchor = \"none\";\nroot-hints = \"/dev\"; "
	    "};\n", true, want));
	leave_folder(folder);
}
END_TEST

/* As an ordinary user: folders of others, and the limit of descriptors. */
START_TEST(deep_as_user)
{
	char folder[32], want[2000];
	struct rlimit lim = { 1024, 1024 };

	enter_folder(folder);
	ck_assert_int_eq(chmod(".", 0777), 0);
	write_file("a", "", 0);
	ck_assert_int_eq(chmod("a", 0666), 0);
	write_file("t.conf", "", 0);
	ck_assert_int_eq(chmod("t.conf", 0666), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	fill_in("warning: t.conf:1: smtp.max-sessions: 10000 sessions need "
		"more than the 1024 descriptors that a process may have here; "
		"write less, or raise the limit (ulimit -n)\n"
		NO_TLS
		"t.conf:2: server.state-dir: \"/pw-nowhere/s\" cannot be made "
		"in \"/\": Permission denied; make it, or write another path\n"
		"t.conf:3: store.mail-root: \"/proc/sys\" cannot be written: "
		"Permission denied; change its owner, or write another path\n",
	    folder, want, sizeof(want));
	ck_assert_ptr_null(load_text(
	    "server: { hostname = \"mx.example.test\"; run-dir = \"r\";\n"
	    " state-dir = \"/pw-nowhere/s\"; };\nstore: { mail-root = "
	    "\"/proc/sys\"; };\ndns: { trust-anchor = \"a\"; };\n" LISTENER,
	    true, want));
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	leave_folder(folder);
}
END_TEST

static void
no_odd_ports(const struct pw_config *cfg, struct pw_config_report *report)
{
	for (size_t i = 0; i < cfg->nlistener; i++)
		if (cfg->listener[i].port % 2 != 0)
			pw_config_error(report, "listener", i, "port",
			    "%d is odd; write an even one",
			    (int)cfg->listener[i].port);
	pw_config_warn(report, "smtp", 0, "max-hops", "a word; write nothing");
}

/* What other floors check stands at the place of the option, in order. */
START_TEST(added_checks)
{
	char folder[32];

	enter_folder(folder);
	pw_config_add_check(no_odd_ports);
	ck_assert_ptr_null(load_text(SERVER LISTENER
	    "smtp: {\n max-hops = 20; };\n", false,
	    "t.conf:2: listener.port: 2525 is odd; write an even one\n"
	    "warning: t.conf:4: smtp.max-hops: a word; write nothing\n"));
	/* A port that was refused is not judged twice. */
	ck_assert_ptr_null(load_text(SERVER
	    "listener: ( { port = 70001; } );\n", false,
	    "warning: t.conf:1: smtp.max-hops: a word; write nothing\n"
	    "t.conf:2: listener.port: 70001 is too much; write a number from "
	    "1 to 65535\n"));
	leave_folder(folder);
}
END_TEST

static const struct {
	const char *section, *setting, *want;
} settings[] = {
	{ "store", "mailbox-path = \"%d/%u\";", "" },
	{ "store", "mailbox-path = \"%n-%d/.x/%u\";", "" },
	{ "store", "mailbox-path = \"\";",
	    "\"\": it must be a path below mail-root; write one such as "
	    "\"%d/%u\"" },
	{ "store", "mailbox-path = \"/%d/%u\";",
	    "\"/%d/%u\": it must be a path below mail-root; write one such as "
	    "\"%d/%u\"" },
	{ "store", "mailbox-path = \"%d//%u\";",
	    "\"%d//%u\": it has an empty part, \".\" or \"..\" in it; write "
	    "one such as \"%d/%u\"" },
	{ "store", "mailbox-path = \"%d/%u/..\";",
	    "\"%d/%u/..\": it has an empty part, \".\" or \"..\" in it; "
	    "write one such as \"%d/%u\"" },
	{ "store", "mailbox-path = \"%d/%u/\";",
	    "\"%d/%u/\": it ends in /; write one such as \"%d/%u\"" },
	{ "store", "mailbox-path = \"%d/%u/%\";",
	    "\"%d/%u/%\": behind % only d, u and n have a meaning; write one "
	    "such as \"%d/%u\"" },
	{ "store", "mailbox-path = \"%u\";", "" },
	{ "store", "mailbox-path = \"%d\";",
	    "\"%d\": without %u all mailboxes would share one place; write "
	    "one such as \"%d/%u\"" },
	{ "store", "journal = \"8M\"; journal-message = \"1M\";", "" },
	{ "store", "journal = \"8M\"; journal-message = \"1025K\";",
	    "a journal of 8M is less than 8 times journal-message, which is "
	    "1025K; write a larger journal or a smaller journal-message" },
	{ "log", "target = \"mail.log\";",
	    "\"mail.log\" is no target; write \"syslog\", \"stderr\" or a "
	    "path that begins with /" },
	{ "policy", "junk-score = 20; refuse-score = 10;",
	    "20 is more than policy.refuse-score, which is 10; write less here "
	    "or more there" },
	{ "policy", "junk-score = 20; refuse-score = 20;", "" },
	{ "accounts", "delimiters = \"\";", "" },
	{ "accounts", "postmaster = \"@example.test\";",
	    "\"@example.test\" is not an address; write one of a mailbox, such "
	    "as \"admin@example.org\"" },
	{ "accounts", "postmaster = \"a@b c\";",
	    "\"a@b c\" is not an address; write one of a mailbox, such as "
	    "\"admin@example.org\"" },
	{ "dns", "servers = [ ];", "" },
};

START_TEST(single_settings)
{
	char folder[32], text[400], want[400], key[40];

	enter_folder(folder);
	for (size_t i = 0; i < PW_COUNT(settings); i++) {
		size_t len = strcspn(settings[i].setting, " ");
		snprintf(key, sizeof(key), "%.*s", (int)len,
		    settings[i].setting);
		snprintf(text, sizeof(text), SERVER LISTENER "%s: {\n%s };\n",
		    settings[i].section, settings[i].setting);
		want[0] = '\0';
		if (settings[i].want[0] != '\0')
			snprintf(want, sizeof(want), "t.conf:4: %s.%s: %s\n",
			    settings[i].section, key, settings[i].want);
		struct pw_config *cfg = load_text(text, false, want);
		ck_assert_int_eq(cfg != NULL, want[0] == '\0');
		pw_config_free(&cfg);
	}
	leave_folder(folder);
}
END_TEST

START_TEST(long_texts)
{
	char folder[32], text[PW_CONFIG_MAX_TEXT + 400];
	char fill[PW_CONFIG_MAX_TEXT + 2];

	enter_folder(folder);
	memset(fill, 'x', sizeof(fill));
	fill[sizeof(fill) - 1] = '\0';
	snprintf(text, sizeof(text),
	    SERVER LISTENER "control: { admins = \"%s\"; };\n", fill);
	ck_assert_ptr_null(load_text(text, false,
	    "t.conf:3: control.admins: a text of 4097 bytes is too long; write "
	    "at most 4096\n"));
	leave_folder(folder);
}
END_TEST

Suite *
pw_suite_config_check(void)
{
	Suite *s = suite_create("config/check");
	TCase *t = tcase_create("check");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, certificates_fit);
	tcase_add_test(t, key_of_others);
	tcase_add_test(t, certificate_for_tls);
	tcase_add_test(t, own_name);
	tcase_add_test(t, users);
	tcase_add_test(t, deep);
	tcase_add_test(t, deep_as_user);
	tcase_add_test(t, single_settings);
	tcase_add_test(t, long_texts);
	tcase_add_test(t, added_checks);
	suite_add_tcase(s, t);
	return s;
}
