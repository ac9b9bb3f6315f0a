/* SPDX-License-Identifier: ISC */
/*
 * A checked record, rewritten for libspf2.
 *
 * The library takes more for a record than RFC 7208 does, keeps 511 bytes of
 * a compiled one, and has limits of its own.  So it is given a short record
 * that means the same for this client, in three words of ours:
 *
 *   [+-~?]exists:tN.x   an "a", "mx", "ptr" or "exists", that layer.c answers;
 *                       or the first term that is known to match: "all", or a
 *                       network that holds the client
 *   [+-~?]include:tN.x  and
 *   redirect=tN.x       for which layer.c finds the record
 *
 * Networks without the client, modifiers, and what stands behind a term that
 * matches or behind more terms than may be evaluated, are left out.  What is
 * left to the library is the walk: order, qualifiers, include, redirect.  No
 * byte of a stranger's record, address or name is in it.
 */
#include <stdio.h>

#include "filters/spf/run.h"

static struct pw_spf_slot *
open_slot(struct pw_spf_run *run, struct pw_spf_frame *frame,
    const struct pw_spf_term *term)
{
	struct pw_spf_slot *slot;

	PW_ASSERT(run->nslots < PW_SPF_MAX_SLOTS);
	slot = &run->slots[run->nslots++];
	slot->frame = frame;
	slot->term = term;
	return slot;
}

static char
sign_of(enum pw_spf_result qualifier)
{
	switch (qualifier) {
	case PW_SPF_FAIL:
		return '-';
	case PW_SPF_SOFTFAIL:
		return '~';
	case PW_SPF_NEUTRAL:
		return '?';
	default:
		return '+';
	}
}

static bool
is_plain(const struct pw_spf_term *term)
{
	return term->mech == PW_SPF_ALL || term->mech == PW_SPF_IP4 ||
	       term->mech == PW_SPF_IP6;
}

void
pw_spf_rewrite(struct pw_spf_run *run, struct pw_spf_frame *frame,
    char out[PW_SPF_WORDS_SIZE])
{
	const struct pw_spf_record *rec = &frame->record;
	size_t len = (size_t)snprintf(out, PW_SPF_WORDS_SIZE, "v=spf1");
	unsigned left = PW_SPF_MAX_TERMS - run->out->terms + 1;
	bool open = true; /* evaluation can come behind what is written */

	for (size_t i = 0; i < rec->nterms && open; i++) {
		const struct pw_spf_term *t = &rec->terms[i];
		struct pw_spf_slot *slot;

		if (is_plain(t) && !pw_spf_match_plain(run->req, t))
			continue;
		slot = open_slot(run, frame, t);
		slot->always = is_plain(t);
		len += (size_t)snprintf(out + len, PW_SPF_WORDS_SIZE - len,
		    " %c%s:t%u.x", sign_of(t->qualifier),
		    t->mech == PW_SPF_INCLUDE ? "include" : "exists",
		    (unsigned)(slot - run->slots));
		open = !slot->always && --left > 0;
	}
	/* "all" matched if there is one: section 6.1 is kept by that */
	if (open && rec->has_redirect) {
		struct pw_spf_slot *slot =
		    open_slot(run, frame, &rec->redirect);

		len += (size_t)snprintf(out + len, PW_SPF_WORDS_SIZE - len,
		    " redirect=t%u.x", (unsigned)(slot - run->slots));
	}
	PW_ASSERT(len < PW_SPF_WORDS_SIZE);
}

struct pw_spf_slot *
pw_spf_slot_of(struct pw_spf_run *run, const char *name)
{
	unsigned n = 0;

	PW_ASSERT(name[0] == 't');
	for (name++; pw_is_digit(*name) && n < PW_SPF_MAX_SLOTS; name++)
		n = n * 10 + (unsigned)(*name - '0');
	PW_ASSERT(n < run->nslots);
	return &run->slots[n];
}
