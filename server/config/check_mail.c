/* SPDX-License-Identifier: ISC */
/*
 * Checks across the options that deal with mail: limits that must fit one
 * another, the place of mailboxes, accounts, stages, policy, log.  Called by
 * check.c.
 */
#include "config/config_priv.h"

#include <pwd.h>
#include <stdio.h>

static const char *const *stage_names;
static size_t nstage_names;

void
pw_config_set_stage_names(const char *const *names, size_t n)
{
	stage_names = names;
	nstage_names = n;
}

/* Two options of which the first must not pass the second. */
static void
check_order(struct pw_config_report *r, const char *small_section,
    const char *small_key, uint64_t small, const char *large_section,
    const char *large_key, uint64_t large)
{
	char a[40], b[40];
	const struct pw_option *o =
	    pw_option_find(pw_section_find(small_section), small_key);

	if (small <= large)
		return;
	pw_unit_format(o->type, small, a, sizeof(a));
	pw_unit_format(o->type, large, b, sizeof(b));
	pw_config_error(r, small_section, 0, small_key,
	    "%s is more than %s.%s, which is %s; write less here or more "
	    "there", a, large_section, large_key, b);
}

static void
check_smtp(const struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_config_smtp *s = &cfg->smtp;

	check_order(r, "smtp", "body-in-memory", s->body_in_memory, "smtp",
	    "memory-budget", s->memory_budget);
	check_order(r, "smtp", "max-header", s->max_header, "smtp",
	    "max-message", s->max_message);
	check_order(r, "smtp", "command-timeout", s->command_timeout, "smtp",
	    "session-timeout", s->session_timeout);
	check_order(r, "smtp", "data-timeout", s->data_timeout, "smtp",
	    "session-timeout", s->session_timeout);
	check_order(r, "dns", "timeout", cfg->dns.timeout, "smtp",
	    "end-timeout", s->end_timeout);
}

/* ADDRESS or ADDRESS@PORT. */
static int
parse_server(const char *s, struct pw_ip *ip)
{
	struct pw_bytes b = pw_bytes_of(s);
	ptrdiff_t at = pw_bytes_chr(b, '@');
	uint64_t port;

	if (at >= 0) {
		if (pw_bytes_u64(pw_bytes_sub(b, (size_t)at + 1, b.len), 65535,
			&port) != 0 || port == 0)
			return -1;
		b.len = (size_t)at;
	}
	return pw_ip_parse(b, ip);
}

static void
check_dns(const struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_strlist *l = &cfg->dns.servers;
	struct pw_ip ip;
	char word[PW_WORD];

	for (size_t i = 0; i < l->n; i++) {
		pw_report_word(word, sizeof(word), l->v[i]);
		if (parse_server(l->v[i], &ip) != 0)
			pw_config_error(r, "dns", 0, "servers",
			    "\"%s\" is not a resolver; write its address, or "
			    "ADDRESS@PORT, such as \"192.0.2.53\"", word);
	}
}

/* What is wrong with a template of a mailbox's place, or NULL. */
static const char *
wrong_template(const char *s)
{
	bool user = false;

	if (s[0] == '\0' || s[0] == '/')
		return "it must be a path below mail-root";
	for (const char *p = s; *p != '\0'; p++) {
		if ((p == s || p[-1] == '/') &&
		    (p[0] == '/' || strcmp(p, ".") == 0 ||
			strcmp(p, "..") == 0 || strncmp(p, "./", 2) == 0 ||
			strncmp(p, "../", 3) == 0))
			return "it has an empty part, \".\" or \"..\" in it";
		if (*p != '%')
			continue;
		p++;
		if (*p == 'u')
			user = true;
		else if (*p != 'd' && *p != 'n')
			return "behind % only d, u and n have a meaning";
	}
	if (s[strlen(s) - 1] == '/')
		return "it ends in /";
	/* Without %d a site has one domain; a second mailbox of the same place
	 * is refused when it is made. */
	if (!user)
		return "without %u all mailboxes would share one place";
	return NULL;
}

static void
check_store(const struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_config_store *s = &cfg->store;
	const char *what = wrong_template(s->mailbox_path);
	char word[PW_WORD], a[40], b[40];

	if (what != NULL)
		pw_config_error(r, "store", 0, "mailbox-path",
		    "\"%s\": %s; write one such as \"%%d/%%u\"",
		    pw_report_word(word, sizeof(word), s->mailbox_path), what);
	if (s->journal / 8 < s->journal_message) {
		pw_unit_format(PW_OPT_SIZE, s->journal, a, sizeof(a));
		pw_unit_format(PW_OPT_SIZE, s->journal_message, b, sizeof(b));
		pw_config_error(r, "store", 0,
		    pw_config_is_set(cfg, "store", 0, "journal") ?
			"journal" :
			"journal-message",
		    "a journal of %s is less than 8 times journal-message, "
		    "which is %s; write a larger journal or a smaller "
		    "journal-message", a, b);
	}
}

static void
check_accounts(const struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_config_accounts *a = &cfg->accounts;
	struct pw_bytes b = pw_bytes_of(a->postmaster), host;
	ptrdiff_t at = pw_bytes_rchr(b, '@');
	char word[PW_WORD];

	if (a->delimiters[strspn(a->delimiters, "!#$%&'*+-/=?^_`{|}~")] != '\0')
		pw_config_error(r, "accounts", 0, "delimiters",
		    "\"%s\" has a character that cannot be one; write some of "
		    "!#$%%&'*+-/=?^_`{|}~",
		    pw_report_word(word, sizeof(word), a->delimiters));
	if (b.len > 0 &&
	    (at <= 0 || at > 64 ||
		pw_valid_hostname(pw_peer(pw_bytes_sub(b, (size_t)at + 1,
				      b.len)), true, &host) != 0))
		pw_config_error(r, "accounts", 0, "postmaster",
		    "\"%s\" is not an address; write one of a mailbox, such as "
		    "\"admin@example.org\"",
		    pw_report_word(word, sizeof(word), a->postmaster));
}

/* NAME=VALUE with something on both sides. */
static bool
is_pair(const char *s)
{
	const char *eq = strchr(s, '=');

	return eq != NULL && eq != s;
}

/* A symbol and a decimal number, such as "SPF_FAIL=-1.5". */
static bool
is_weight(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (n == 0 || n > 64 || s[n] != '=')
		return false;
	s += n + 1;
	s += *s == '-' ? 1 : 0;
	size_t whole = strspn(s, "0123456789");
	s += whole;
	if (whole == 0 || whole > 4)
		return false;
	if (*s != '.')
		return *s == '\0';
	size_t part = strspn(s + 1, "0123456789");
	return part >= 1 && part <= 2 && s[1 + part] == '\0';
}

static void
check_stage_name(const struct pw_config *cfg, struct pw_config_report *r,
    const char *section, size_t i, const char *key, const char *name)
{
	char word[PW_WORD];

	for (size_t k = 0; k < nstage_names; k++)
		if (strcmp(stage_names[k], name) == 0)
			return;
	/* It may be a plug-in: then the one who loads it will tell. */
	if (nstage_names == 0 || cfg->server.plugin_dir[0] != '\0')
		return;
	pw_report_word(word, sizeof(word), name);
	const char *near = pw_option_nearest(name, stage_names, nstage_names);
	if (near != NULL)
		pw_config_error(r, section, i, key,
		    "there is no stage \"%s\"; did you mean \"%s\"?", word,
		    near);
	else
		pw_config_error(r, section, i, key,
		    "there is no stage \"%s\"; write one that `postward "
		    "pipeline show` lists", word);
}

static void
check_stage(const struct pw_config *cfg, size_t i, struct pw_config_report *r)
{
	const struct pw_config_stage *s = &cfg->stage[i];
	char word[PW_WORD];

	if (s->name[0] == '\0') {
		pw_config_error(r, "stage", i, "name",
		    "it is missing; write name = \"STAGE\";");
		return;
	}
	check_stage_name(cfg, r, "stage", i, "name", s->name);
	for (size_t k = 0; k < i; k++)
		if (strcmp(cfg->stage[k].name, s->name) == 0) {
			pw_config_error(r, "stage", i, "name",
			    "\"%s\" has a group already; write all of its "
			    "settings into one",
			    pw_report_word(word, sizeof(word), s->name));
			break;
		}
	for (size_t k = 0; k < s->options.n; k++)
		if (!is_pair(s->options.v[k]))
			pw_config_error(r, "stage", i, "options",
			    "\"%s\" is no setting; write \"NAME=VALUE\"",
			    pw_report_word(word, sizeof(word),
				s->options.v[k]));
	if (s->timeout > cfg->smtp.end_timeout)
		pw_config_error(r, "stage", i, "timeout",
		    "it is longer than smtp.end-timeout, which covers all "
		    "stages; write less here or more there");
}

static void
check_listener_stages(const struct pw_config *cfg, size_t i,
    struct pw_config_report *r)
{
	const struct pw_strlist *l = &cfg->listener[i].stages;

	for (size_t k = 0; k < l->n; k++) {
		if (strcmp(l->v[k], "none") == 0 && l->n > 1)
			pw_config_error(r, "listener", i, "stages",
			    "\"none\" stands beside others; write it alone, or "
			    "leave it out");
		else if (strcmp(l->v[k], "default") != 0 &&
		    strcmp(l->v[k], "none") != 0)
			check_stage_name(cfg, r, "listener", i, "stages", l->v[k]);
	}
}

/* "SYMBOL=ACTION"; which symbols there are is known to the stages. */
static bool
is_action(const char *s)
{
	static const char *const words[] = { "inform", "junk", "hold",
		"refuse-keep", "refuse", "defer", "discard" };
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (n == 0 || n > 64 || s[n] != '=')
		return false;
	for (size_t i = 0; i < PW_COUNT(words); i++)
		if (strcmp(s + n + 1, words[i]) == 0)
			return true;
	return false;
}

/* Of the thresholds that are set (a score of 0 is none), a milder one may not
 * be the higher. */
static void
check_scores(struct pw_config_report *r, const int64_t score[4])
{
	static const char *const key[] = { "junk-score", "hold-score",
		"refuse-keep-score", "refuse-score" };
	size_t last = 4;

	for (size_t i = 0; i < 4; i++) {
		if (score[i] <= 0)
			continue;
		if (last < 4)
			check_order(r, "policy", key[last],
			    (uint64_t)score[last], "policy", key[i],
			    (uint64_t)score[i]);
		last = i;
	}
}

/* A domain or an address; the domain as DNS has it. */
static void
check_thresholds(const struct pw_config *cfg, size_t i,
    struct pw_config_report *r)
{
	const char *name = cfg->thresholds[i].recipient;
	const char *at = strrchr(name, '@');
	struct pw_bytes ok;
	char word[PW_WORD];

	if (at == name || pw_valid_hostname(pw_peer(pw_bytes_of(at != NULL ?
		at + 1 : name)), false, &ok) != 0) {
		pw_config_error(r, "thresholds", i, "recipient",
		    "\"%s\" is no domain and no address; write one such as "
		    "\"example.org\" or \"anna@example.org\" (xn--... for "
		    "names in other letters)",
		    pw_report_word(word, sizeof(word), name));
		return;
	}
	for (size_t k = 0; k < i; k++)
		if (pw_bytes_caseeq(pw_bytes_of(cfg->thresholds[k].recipient),
			pw_bytes_of(name)))
			pw_config_error(r, "thresholds", i, "recipient",
			    "\"%s\" was given above already; put the scores "
			    "into one group",
			    pw_report_word(word, sizeof(word), name));
}

static void
check_policy(const struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_config_policy *p = &cfg->policy;
	char word[PW_WORD];

	check_scores(r, (const int64_t[]){ p->junk_score, p->hold_score,
	    p->refuse_keep_score, p->refuse_score });
	for (size_t i = 0; i < p->actions.n; i++)
		if (!is_action(p->actions.v[i]))
			pw_config_error(r, "policy", 0, "actions",
			    "\"%s\" is no action; write \"SYMBOL=ACTION\" with "
			    "one of inform, junk, hold, refuse-keep, refuse, "
			    "defer, discard", pw_report_word(word,
			    sizeof(word), p->actions.v[i]));
	for (size_t i = 0; i < cfg->nthresholds; i++)
		check_thresholds(cfg, i, r);
	for (size_t i = 0; i < p->weights.n; i++)
		if (!is_weight(p->weights.v[i]))
			pw_config_error(r, "policy", 0, "weights",
			    "\"%s\" is no weight; write \"SYMBOL=NUMBER\", "
			    "such as \"SPF_FAIL=1.5\"",
			    pw_report_word(word, sizeof(word),
				p->weights.v[i]));
}

static void
check_log(const struct pw_config *cfg, struct pw_config_report *r)
{
	static const char *const words[] = { "syslog", "stderr" };
	const char *t = cfg->log.target;
	char word[PW_WORD];

	if (strcmp(t, words[0]) == 0 || strcmp(t, words[1]) == 0 || t[0] == '/')
		return;
	pw_report_word(word, sizeof(word), t);
	const char *near = pw_option_nearest(t, words, PW_COUNT(words));
	if (near != NULL)
		pw_config_error(r, "log", 0, "target",
		    "\"%s\" is no target; did you mean \"%s\"?", word, near);
	else
		pw_config_error(r, "log", 0, "target",
		    "\"%s\" is no target; write \"syslog\", \"stderr\" or a "
		    "path that begins with /", word);
}

void
pw_check_mail(const struct pw_config *cfg, struct pw_config_report *r)
{
	const struct pw_strlist *admins = &cfg->control.admins;
	char word[PW_WORD];

	check_smtp(cfg, r);
	check_dns(cfg, r);
	check_store(cfg, r);
	check_accounts(cfg, r);
	for (size_t i = 0; i < cfg->nstage; i++)
		check_stage(cfg, i, r);
	for (size_t i = 0; i < cfg->nlistener; i++)
		check_listener_stages(cfg, i, r);
	check_policy(cfg, r);
	check_log(cfg, r);
	for (size_t i = 0; i < admins->n; i++)
		if (getpwnam(admins->v[i]) == NULL)
			pw_config_warn(r, "control", 0, "admins",
			    "there is no user \"%s\"; write names of users",
			    pw_report_word(word, sizeof(word), admins->v[i]));
}
