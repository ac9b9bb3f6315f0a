/* SPDX-License-Identifier: ISC */
/*
 * A decision in words that a helpdesk can read aloud, then the sum, then the
 * evidence it rests on.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "ctl/verb.h"

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static void
story(const json_t *d, struct pw_strbuf *out)
{
	char when[32] = "";
	const char *rdns = str(d, "rdns"), *tls = str(d, "tls");
	const char *from = str(d, "mail_from");

	(void)pw_clock_iso(when,
	    json_integer_value(json_object_get(d, "time")));
	pw_strbuf_addf(out, "Message %s\n\n", str(d, "id"));
	pw_strbuf_addf(out, "On %.10s at %.8s UTC, %s", when, when + 11,
	    str(d, "peer"));
	if (rdns[0] != '\0')
		pw_strbuf_addf(out, " (%s)", rdns);
	pw_strbuf_addf(out, ", which calls itself %s, connected ",
	    str(d, "helo"));
	if (tls[0] != '\0')
		pw_strbuf_addf(out, "with encryption (%s)", tls);
	else
		pw_strbuf_adds(out, "without encryption");
	if (from[0] != '\0')
		pw_strbuf_addf(out,
		    " and sent a message of %" PRId64 " bytes from <%s>.\n",
		    (int64_t)json_integer_value(json_object_get(d, "size")),
		    from);
	else
		pw_strbuf_addf(out,
		    " and sent a message of %" PRId64
		    " bytes with the empty sender address of a report.\n",
		    (int64_t)json_integer_value(json_object_get(d, "size")));
	pw_strbuf_addf(out, "We answered: %s\n", str(d, "reply"));
	pw_strbuf_addf(out, "What decided: %s\n", str(d, "step"));
}

static void
recipients(const json_t *d, struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "recipients"), *r;
	size_t i;

	pw_strbuf_adds(out, "\nRecipients\n");
	json_array_foreach(list, i, r) {
		pw_strbuf_addf(out, "  <%s>", str(r, "given"));
		if (str(r, "mailbox")[0] != '\0')
			pw_strbuf_addf(out, " -> %s", str(r, "mailbox"));
		pw_strbuf_addf(out, ": %s%s%s\n", str(r, "action"),
		    str(r, "fate")[0] != '\0' ? ", " : "", str(r, "fate"));
		if (str(r, "step")[0] != '\0')
			pw_strbuf_addf(out, "      since %s (score %.2f)\n",
			    str(r, "step"), json_number_value(
			    json_object_get(r, "score")));
	}
}

static void
arithmetic(const json_t *d, struct pw_strbuf *out)
{
	const json_t *list = json_object_get(d, "evidence"), *e;
	size_t i;

	pw_strbuf_adds(out, "\nEvidence\n");
	if (json_array_size(list) == 0)
		pw_strbuf_adds(out, "  none\n");
	json_array_foreach(list, i, e) {
		bool shadow = json_is_true(json_object_get(e, "shadow"));

		pw_strbuf_addf(out, "  %+8.2f  %-22s %s%s\n",
		    json_number_value(json_object_get(e, "weight")),
		    str(e, "symbol"), str(e, "text"),
		    shadow ? " (in shadow: not counted)" : "");
	}
	pw_strbuf_addf(out, "  --------\n  %+8.2f  score\n",
	    json_number_value(json_object_get(d, "score")));
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
pw_explain(const json_t *d, struct pw_strbuf *out)
{
	const char *ar = str(d, "auth_results");

	story(d, out);
	recipients(d, out);
	arithmetic(d, out);
	stages(d, out);
	if (ar[0] != '\0')
		pw_strbuf_addf(out, "\nAuthentication-Results: %s\n", ar);
	dns(d, out);
}
