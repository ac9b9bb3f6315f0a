/* SPDX-License-Identifier: ISC */
/*
 * A decision in words that a helpdesk can read aloud, then the sum, then the
 * evidence it rests on.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/verb.h"

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static int64_t
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool
is(const json_t *o, const char *key, const char *value)
{
	return strcmp(str(o, key), value) == 0;
}

/* "On Monday, 2 February 2026 at 10:02:11 (UTC)" */
static void
when(const char *before, int64_t us, struct pw_strbuf *out)
{
	time_t t = (time_t)(us / 1000000);
	char text[80] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(text, sizeof(text),
		    "%A, %e %B %Y at %H:%M:%S (UTC)", &tm);
	pw_strbuf_addf(out, "%s%s", before, text);
}

/* "the server mx.friend.test [192.0.2.1]" */
static void
who(const json_t *d, struct pw_strbuf *out)
{
	const char *rdns = str(d, "rdns"), *helo = str(d, "helo");
	const char *peer = str(d, "peer");

	if (strcmp(peer, "none") == 0) {
		pw_strbuf_adds(out, "servers of many networks");
		return;
	}
	pw_strbuf_addf(out, "%s %s%s[%s]",
	    num(d, "count") > 1 ? "servers in the network" : "the server",
	    rdns, rdns[0] != '\0' ? " " : "", peer);
	if (helo[0] != '\0')
		pw_strbuf_addf(out, ", which calls itself %s,", helo);
}

static void
from_whom(const json_t *d, struct pw_strbuf *out)
{
	if (str(d, "mail_from")[0] != '\0')
		pw_strbuf_addf(out, "from <%s>", str(d, "mail_from"));
	else
		pw_strbuf_adds(out, "with the empty sender of a report");
}

static void
to_whom(const json_t *d, struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "recipients");
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && i < 3; i++)
		pw_strbuf_addf(out, "%s<%s>", i == 0 ? " to " : ", ",
		    str(json_array_get(list, i), "given"));
	if (n > 3)
		pw_strbuf_addf(out, " and %zu more", n - 3);
}

/* What was done with a whole message, and why. */
static void
outcome(const json_t *d, struct pw_strbuf *out)
{
	static const struct {
		const char *action, *words;
	} said[] = {
		{ "deliver", "It was delivered" },
		{ "junk", "It was put into the folder Junk" },
		{ "hold", "It was accepted and held for review" },
		{ "refuse-keep",
		    "It was refused, and a copy was kept for review" },
		{ "refuse", "It was refused" },
		{ "defer", "It was turned away for now; the sending server "
			   "will try again" },
		{ "discard", "It was accepted and thrown away" },
	};
	const char *words = "It came to no end";

	for (size_t i = 0; i < PW_COUNT(said); i++)
		if (is(d, "action", said[i].action))
			words = said[i].words;
	pw_strbuf_addf(out, "%s.\nThe reason: %s.\n", words,
	    str(d, "step")[0] != '\0' ? str(d, "step") : "none was recorded");
}

static void
reply(const json_t *d, const char *none, struct pw_strbuf *out)
{
	if (str(d, "reply")[0] != '\0')
		pw_strbuf_addf(out, "The sending server was told: \"%s\".\n",
		    str(d, "reply"));
	else
		pw_strbuf_addf(out, "%s\n", none);
}

static void
of_message(const json_t *d, struct pw_strbuf *out)
{
	pw_strbuf_addf(out, " sent a message of %" PRId64 " bytes ",
	    num(d, "size"));
	from_whom(d, out);
	to_whom(d, out);
	pw_strbuf_adds(out, ".\n");
	outcome(d, out);
	reply(d, "The sending server was told nothing.", out);
}

static void
of_transaction(const json_t *d, struct pw_strbuf *out)
{
	pw_strbuf_adds(out, " tried to send a message ");
	from_whom(d, out);
	to_whom(d, out);
	pw_strbuf_adds(out, ", but no message came.\n");
	reply(d, "It was not refused.", out);
	pw_strbuf_addf(out, "What ended it: %s.\n", str(d, "step"));
}

static void
of_connection(const json_t *d, struct pw_strbuf *out)
{
	pw_strbuf_adds(out, " connected, but began no mail.\n");
	reply(d, "It was not refused.", out);
	pw_strbuf_addf(out, "What ended it: %s.\n", str(d, "step"));
}

static void
story(const json_t *d, struct pw_strbuf *out)
{
	const char *tls = str(d, "tls");

	pw_strbuf_addf(out, "%s %s\n\n",
	    is(d, "kind", "connection") ? "Connection" :
		is(d, "kind", "transaction") ? "Attempt" :
					       "Message",
	    str(d, "id"));
	when("On ", num(d, "time"), out);
	pw_strbuf_addc(out, ' ');
	who(d, out);
	if (is(d, "kind", "message"))
		of_message(d, out);
	else if (is(d, "kind", "transaction"))
		of_transaction(d, out);
	else
		of_connection(d, out);
	if (tls[0] != '\0')
		pw_strbuf_addf(out, "The connection was encrypted (%s).\n",
		    tls);
	else
		pw_strbuf_adds(out, "The connection was not encrypted.\n");
	if (num(d, "count") > 1) {
		pw_strbuf_addf(out,
		    "This happened %" PRId64 " times in the same way",
		    num(d, "count"));
		when(", the last time on ", num(d, "until"), out);
		pw_strbuf_adds(out,
		    ".\nNames and addresses here are those of the first.\n");
	}
}

/* Where the files of the message are now. */
static void
places(const json_t *d, struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "places"), *p;
	size_t i;

	if (list == NULL)
		return;
	if (json_array_size(list) == 0 && (is(d, "action", "deliver") ||
		is(d, "action", "junk") || is(d, "action", "hold")))
		pw_strbuf_adds(out,
		    "  (there is no copy of it any more, or none yet)\n");
	json_array_foreach(list, i, p) {
		const char *box = str(p, "mailbox"), *folder = str(p, "folder");
		bool seen = strchr(str(p, "flags"), 'S') != NULL;

		if (box[0] == '\0')
			pw_strbuf_adds(out, "  now held for review");
		else
			pw_strbuf_addf(out, "  now in %s of %s, %s",
			    folder[0] != '\0' ? folder : "INBOX", box,
			    seen ? "read" : "not read");
		pw_strbuf_addc(out, '\n');
	}
}

static void
recipients(const json_t *d, struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "recipients"), *r;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	pw_strbuf_adds(out, "\nRecipients\n");
	json_array_foreach(list, i, r) {
		pw_strbuf_addf(out, "  <%s>", str(r, "given"));
		if (str(r, "mailbox")[0] != '\0')
			pw_strbuf_addf(out, " -> %s", str(r, "mailbox"));
		pw_strbuf_addf(out, ": %s, %s\n", str(r, "action"),
		    str(r, "fate")[0] != '\0' ? str(r, "fate")
					      : str(r, "reply"));
		if (str(r, "step")[0] != '\0')
			pw_strbuf_addf(out, "      since %s (score %.2f)\n",
			    str(r, "step"), json_number_value(
			    json_object_get(r, "score")));
	}
	places(d, out);
}

static void
threshold(const char *what, int64_t hundredths, struct pw_strbuf *out)
{
	if (hundredths > 0)
		pw_strbuf_addf(out, "  %+8.2f  and more is %s now\n",
		    (double)hundredths / 100, what);
}

static void
arithmetic(const json_t *d, const struct pw_config *cfg,
    struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "evidence"), *e;
	size_t i;

	pw_strbuf_adds(out, "\nEvidence\n");
	if (json_array_size(list) == 0) {
		pw_strbuf_adds(out, "  none\n");
		return;
	}
	json_array_foreach(list, i, e) {
		bool shadow = json_is_true(json_object_get(e, "shadow"));

		pw_strbuf_addf(out, "  %+8.2f  %-22s %s%s\n",
		    json_number_value(json_object_get(e, "weight")),
		    str(e, "symbol"), str(e, "text"),
		    shadow ? " (in shadow: not counted)" : "");
	}
	pw_strbuf_addf(out, "  --------\n  %+8.2f  score\n",
	    json_number_value(json_object_get(d, "score")));
	threshold("junk", cfg->policy.junk_score, out);
	threshold("hold", cfg->policy.hold_score, out);
	threshold("refuse", cfg->policy.refuse_score, out);
}

static void
stages(const json_t *d, struct pw_strbuf *out)
{
	static const char *const outcome[] = { "hit", "no hit",
		"not applicable", "could not run" };
	const json_t *list = json_object_get(d, "stages"), *s;
	size_t i;

	pw_strbuf_adds(out, "\nStages\n");
	json_array_foreach(list, i, s) {
		json_int_t o = json_integer_value(json_object_get(s,
		    "outcome"));
		const char *named = str(s, "outcome");

		if (named[0] == '\0')
			named = o >= 0 && (size_t)o < PW_COUNT(outcome)
			    ? outcome[o]
			    : "?";
		pw_strbuf_addf(out,
		    "  %-14s %-14s %6" JSON_INTEGER_FORMAT
		    " us waiting, %5" JSON_INTEGER_FORMAT " us working  %s\n",
		    str(s, "stage"), named,
		    json_integer_value(json_object_get(s, "wall_us")),
		    json_integer_value(json_object_get(s, "cpu_us")),
		    str(s, "reason"));
	}
}

static void
dns(const json_t *d, struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "dns"), *a;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	pw_strbuf_adds(out, "\nDNS answers that it rests on\n");
	json_array_foreach(list, i, a) {
		const json_t *rr = json_object_get(a, "records"), *r;
		size_t k;

		pw_strbuf_addf(out, "  %s %s: %s\n", str(a, "name"),
		    str(a, "type"), str(a, "status"));
		json_array_foreach(rr, k, r)
			pw_strbuf_addf(out, "      %s\n",
			    json_string_value(r) != NULL ? json_string_value(r)
							 : "");
	}
}

void
pw_explain(const json_t *d, const struct pw_config *cfg,
    struct pw_strbuf *out)
{
	const char *ar = str(d, "auth_results");

	story(d, out);
	recipients(d, out);
	arithmetic(d, cfg, out);
	stages(d, out);
	if (ar[0] != '\0')
		pw_strbuf_addf(out, "\nAuthentication-Results: %s\n", ar);
	dns(d, out);
}

void
pw_explain_line(const json_t *d, struct pw_strbuf *out)
{
	char time[32] = "";

	(void)pw_clock_iso(time, num(d, "time"));
	pw_strbuf_addf(out, "%.19s  %s  [%s]", time, str(d, "id"),
	    str(d, "peer"));
	if (num(d, "count") > 1)
		pw_strbuf_addf(out, " %" PRId64 " times", num(d, "count"));
	if (is(d, "kind", "connection")) {
		pw_strbuf_adds(out, "  connected only");
	} else {
		pw_strbuf_addf(out, "  from <%s>", str(d, "mail_from"));
		to_whom(d, out);
	}
	pw_strbuf_addf(out, "  %s\n",
	    str(d, "reply")[0] != '\0' ? str(d, "reply") : str(d, "step"));
}
