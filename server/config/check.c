/* SPDX-License-Identifier: ISC */
/*
 * Whether a configuration makes sense as a whole: who we are, where we listen,
 * and the order of all checks.  Called by load when the file could be parsed;
 * a value that was refused there has its default here.
 */
#include "config/config_priv.h"

#include <limits.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void (*checks[PW_CONFIG_MAX_CHECKS])(const struct pw_config *,
    struct pw_config_report *);
static size_t nchecks;

void
pw_config_add_check(void (*check)(const struct pw_config *cfg,
    struct pw_config_report *report))
{
	PW_ASSERT(nchecks < PW_CONFIG_MAX_CHECKS);
	checks[nchecks++] = check;
}

void
pw_check_all(struct pw_config *cfg, bool deep, struct pw_config_report *r)
{
	pw_check_server(cfg, r);
	pw_check_listeners(cfg, r);
	pw_check_tls(cfg, deep, r);
	pw_check_mail(cfg, r);
	if (deep)
		pw_check_deep(cfg, r);
	for (size_t i = 0; i < nchecks; i++)
		checks[i](cfg, r);
}

static bool
is_hostname(const char *s, bool dotless)
{
	struct pw_bytes b;

	return pw_valid_hostname(pw_peer(pw_bytes_of(s)), dotless, &b) == 0;
}

#define HOSTNAME_MAX 256

/* The machine's own name, fully qualified where the system knows that. */
static void
machine_name(char out[HOSTNAME_MAX])
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *res = NULL;

	if (gethostname(out, HOSTNAME_MAX) != 0)
		out[0] = '\0';
	out[HOSTNAME_MAX - 1] = '\0';
	if (out[0] == '\0' || is_hostname(out, false))
		return;
	if (getaddrinfo(out, NULL, &hints, &res) == 0 &&
	    res->ai_canonname != NULL && is_hostname(res->ai_canonname, false))
		snprintf(out, HOSTNAME_MAX, "%s", res->ai_canonname);
	if (res != NULL)
		freeaddrinfo(res);
}

static void
check_hostname(struct pw_config *cfg, struct pw_config_report *r)
{
	char name[HOSTNAME_MAX], word[PW_WORD];

	if (cfg->server.hostname[0] != '\0') {
		if (!is_hostname(cfg->server.hostname, false))
			pw_config_error(r, "server", 0, "hostname",
			    "\"%s\" is not a fully qualified host name; write "
			    "the name that your MX record has, such as "
			    "\"mx.example.org\"",
			    pw_report_word(word, sizeof(word),
				cfg->server.hostname));
		return;
	}
	machine_name(name);
	if (is_hostname(name, false)) {
		cfg->server.hostname =
		    pw_pool_cstr(cfg->priv->pool, pw_bytes_of(name));
		return;
	}
	pw_config_error(r, "server", 0, "hostname",
	    "it is not set, and the machine's own name \"%s\" is not fully "
	    "qualified; write the name that your MX record has, such as "
	    "server: { hostname = \"mx.example.org\"; };",
	    pw_report_word(word, sizeof(word), name));
}

static void
check_user(const char *key, const char *name, struct pw_config_report *r)
{
	const struct passwd *pw = getpwnam(name);
	char word[PW_WORD];

	if (pw != NULL && pw->pw_uid == 0)
		pw_config_error(r, "server", 0, key,
		    "\"%s\" is root; write a user of its own",
		    pw_report_word(word, sizeof(word), name));
	if (pw == NULL)
		pw_config_error(r, "server", 0, key,
		    "there is no user \"%s\"; write one that exists, or make "
		    "it: adduser --system --group --no-create-home %s",
		    pw_report_word(word, sizeof(word), name), word);
}

static void
check_path(const char *section, const char *key, const char *path, size_t max,
    struct pw_config_report *r)
{
	if (path[0] == '\0')
		pw_config_error(r, section, 0, key,
		    "it is empty; write the path of a folder");
	else if (strlen(path) > max)
		pw_config_error(r, section, 0, key,
		    "its path of %zu bytes is too long; write one of at most "
		    "%zu", strlen(path), max);
}

void
pw_check_server(struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_config_server *s = &cfg->server;
	char word[PW_WORD];

	check_hostname(cfg, r);
	/* The names of files in them must fit, too; the run folder holds a
	 * socket, whose whole path has few bytes. */
	check_path("server", "state-dir", s->state_dir, PATH_MAX - 512, r);
	check_path("server", "run-dir", s->run_dir,
	    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 32, r);
	check_path("store", "mail-root", cfg->store.mail_root, PATH_MAX - 1024,
	    r);
	if (s->authserv_id[0] == '\0')
		cfg->server.authserv_id = s->hostname;
	else if (!is_hostname(s->authserv_id, true))
		pw_config_error(r, "server", 0, "authserv-id",
		    "\"%s\" is not a host name; write one, or leave it out",
		    pw_report_word(word, sizeof(word), s->authserv_id));
	if (geteuid() != 0)
		return;
	check_user("user-front", s->user_front, r);
	check_user("user-store", s->user_store, r);
	if (strcmp(s->user_front, s->user_store) == 0)
		pw_config_error(r, "server", 0, "user-store",
		    "it is the user of the role front, which must not read "
		    "mail; write another one");
}

/* The names that an address means: * is both kinds' wildcard. */
struct place {
	bool v4, v6;         /* takes part in this family */
	bool any;            /* the wildcard */
	struct pw_ip ip;
	int64_t port;
};

static int
place_of(const struct pw_config_listener *l, struct place *out)
{
	*out = (struct place){ .port = l->port };
	if (strcmp(l->address, "*") == 0) {
		out->v4 = out->v6 = out->any = true;
		return 0;
	}
	if (pw_ip_parse(pw_bytes_of(l->address), &out->ip) != 0)
		return -1;
	out->v4 = out->ip.family == 4;
	out->v6 = out->ip.family == 6;
	out->any = true;
	for (size_t i = 0; i < (out->v4 ? 4 : 16); i++)
		out->any = out->any && out->ip.b[i] == 0;
	return 0;
}

/* Whether the kernel would refuse the one beside the other. */
static bool
collide(const struct place *a, const struct place *b)
{
	if (a->port != b->port || !((a->v4 && b->v4) || (a->v6 && b->v6)))
		return false;
	return a->any || b->any || pw_ip_eq(&a->ip, &b->ip);
}

static void
check_place(const struct pw_config *cfg, size_t i, struct pw_config_report *r)
{
	const struct pw_config_listener *l = &cfg->listener[i];
	struct place mine, other;
	char word[PW_WORD];

	if (pw_config_is_bad(cfg, "listener", i, "address") ||
	    pw_config_is_bad(cfg, "listener", i, "port"))
		return;
	if (place_of(l, &mine) != 0) {
		pw_config_error(r, "listener", i, "address",
		    "\"%s\" is not an address; write an IPv4 or IPv6 address, "
		    "or \"*\" for all",
		    pw_report_word(word, sizeof(word), l->address));
		return;
	}
	for (size_t k = 0; k < i; k++) {
		if (place_of(&cfg->listener[k], &other) != 0 ||
		    !collide(&mine, &other))
			continue;
		pw_config_error(r, "listener", i, NULL,
		    "address \"%s\" port %d is taken by listener \"%s\" "
		    "before it; write another address or port",
		    l->address, (int)l->port,
		    pw_report_word(word, sizeof(word), cfg->listener[k].name));
		return;
	}
}

/* A word that fits logs and records. */
static bool
is_word(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return n > 0 && n <= 32 && s[n] == '\0';
}

void
pw_check_listeners(const struct pw_config *cfg, struct pw_config_report *r)
{
	char word[PW_WORD];

	if (cfg->nlistener == 0 &&
	    !pw_config_groups(cfg, pw_section_find("listener"))->bad)
		pw_config_error(r, "listener", 0, NULL,
		    "there is none; write listener: ( { port = 25; } );");
	for (size_t i = 0; i < cfg->nlistener; i++) {
		const struct pw_config_listener *l = &cfg->listener[i];
		if (!is_word(l->name))
			pw_config_error(r, "listener", i, "name",
			    "\"%s\" is not a plain word; write at most 32 of "
			    "a-z, 0-9, '-', '_' and '.'",
			    pw_report_word(word, sizeof(word), l->name));
		if (l->tls && cfg->ncertificate == 0 &&
		    pw_config_is_set(cfg, "listener", i, "tls") &&
		    !pw_config_groups(cfg, pw_section_find("certificate"))->bad)
			pw_config_error(r, "listener", i, "tls",
			    "there is no certificate to offer; write "
			    "certificate: ( { chain = \"FILE\"; key = "
			    "\"FILE\"; } ); or tls = false");
		check_place(cfg, i, r);
	}
}
