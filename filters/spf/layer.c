/* SPDX-License-Identifier: ISC */
/*
 * What libspf2 takes for DNS.  Each name that it asks for stands for one term
 * of one record (rewrite.c), so every question is attributed exactly; "exists"
 * becomes the judgement of that term by mech.c, the record behind an include or
 * a redirect is found and checked here.
 *
 * Once a run is stopped or lacks an answer every further question is answered
 * "try again": the fastest way out of the library.  What the run then means is
 * in the run, not in the library's result.
 */
#include <netdb.h>

#include "filters/spf/run.h"

static bool
is_over(const struct pw_spf_run *run)
{
	return run->again || run->stopped;
}

static SPF_dns_rr_t *
lookup(SPF_dns_server_t *layer, const char *name, ns_type type, int cache)
{
	struct pw_spf_run *run = layer->hook;
	struct pw_spf_slot *slot = pw_spf_slot_of(run, name);
	SPF_dns_rr_t *rr;
	int rc = is_over(run) ? -1 : pw_spf_match(run, slot);

	(void)cache;
	if (rc > 0)
		run->leaf = slot;
	rr = SPF_dns_rr_new_init(layer, name, type, 0,
	    rc < 0   ? TRY_AGAIN
	    : rc > 0 ? NETDB_SUCCESS
		     : HOST_NOT_FOUND);
	PW_ASSERT(rr != NULL); /* out of memory ends the process */
	if (rc > 0) {
		PW_ASSERT(SPF_dns_rr_buf_realloc(
			      rr, 0, sizeof(struct in_addr)) == SPF_E_SUCCESS);
		rr->rr[0]->a.s_addr = htonl(INADDR_LOOPBACK);
		rr->num_rr = 1;
	}
	return rr;
}

/*
 * How a domain without a record ends the run: it is just that for the domain
 * of the request, but an error in another's record (sections 5.2 and 6.1).
 */
static void
no_record(struct pw_spf_run *run, const struct pw_spf_slot *slot,
    const char *what, const char *domain)
{
	struct pw_bytes term;

	if (slot->frame == NULL) {
		pw_spf_stop(run, PW_SPF_NONE, "%s %s", what, domain);
		return;
	}
	term = pw_bytes_sub(slot->term->text, 0, PW_SPF_SHOWN);
	pw_spf_stop(run, PW_SPF_PERMERROR,
	    "%s %s, for \"%.*s\" in the record of %s", what, domain,
	    (int)term.len, term.ptr, slot->frame->domain);
}

/* The one SPF record among the TXT records of DOMAIN, or -1: section 4.5. */
static int
select_record(struct pw_spf_run *run, const struct pw_spf_slot *slot,
    const char *domain, struct pw_bytes *record)
{
	const struct pw_dns_answer *a = pw_spf_ask(run, domain, PW_DNS_TXT);
	unsigned found = 0;

	if (a == NULL)
		return -1;
	if (pw_dns_is_temporary(a->status)) {
		pw_spf_stop(run, PW_SPF_TEMPERROR, "TXT of %s: %s", domain,
		    pw_dns_status_name(a->status));
		return -1;
	}
	for (size_t i = 0; i < a->nrr; i++)
		if (pw_spf_is_record(a->rr[i].data)) {
			*record = a->rr[i].data;
			found++;
		}
	if (found > 1)
		pw_spf_stop(run, PW_SPF_PERMERROR, "%u SPF records at %s",
		    found, domain);
	else if (found == 0)
		no_record(run, slot,
		    a->dropped > 0 ? "no SPF record within the limits at"
				   : "no SPF record at",
		    domain);
	return found == 1 ? 0 : -1;
}

/* The frame of the record that SLOT leads to; NULL when the run is over. */
static struct pw_spf_frame *
open_frame(struct pw_spf_run *run, const struct pw_spf_slot *slot)
{
	struct pw_spf_frame *frame;
	struct pw_bytes text;
	struct pw_err err;

	if (slot->frame != NULL && pw_spf_count_term(run, slot) != 0)
		return NULL;
	PW_ASSERT(run->nframes < PW_SPF_MAX_FRAMES);
	frame = &run->frames[run->nframes++];
	frame->via = slot;
	if (slot->frame == NULL)
		(void)pw_spf_name(run->req->domain, frame->domain);
	else if (pw_spf_target(run, slot, frame->domain) != 0)
		return NULL;
	if (strchr(frame->domain, '.') == NULL) { /* section 4.3 */
		no_record(run, slot, "not a domain:",
		    frame->domain[0] != '\0' ? frame->domain : "(malformed)");
		return NULL;
	}
	if (select_record(run, slot, frame->domain, &text) != 0)
		return NULL;
	if (pw_spf_record_parse(text, run->pool, &frame->record, &err) != 0) {
		pw_spf_stop(run, PW_SPF_PERMERROR, "%s in the record of %s",
		    err.text, frame->domain);
		return NULL;
	}
	if (slot->frame == NULL ||
	    (slot->frame == run->top && slot->term->mech == PW_SPF_REDIRECT))
		run->top = frame;
	return frame;
}

static SPF_errcode_t
get_spf(SPF_server_t *server, SPF_request_t *request, SPF_response_t *response,
    SPF_record_t **record)
{
	struct pw_spf_run *run = server->resolver->hook;
	char words[PW_SPF_WORDS_SIZE];
	struct pw_spf_frame *frame;
	SPF_errcode_t rc;

	frame = is_over(run)
		    ? NULL
		    : open_frame(run, pw_spf_slot_of(run, request->cur_dom));
	if (frame == NULL)
		return SPF_E_DNS_ERROR;
	pw_spf_rewrite(run, frame, words);
	rc = SPF_record_compile(server, response, record, words);
	PW_ASSERT(rc == SPF_E_SUCCESS); /* the words are ours */
	return rc;
}

void
pw_spf_layer_init(SPF_dns_server_t *layer, struct pw_spf_run *run)
{
	*layer = (SPF_dns_server_t){.lookup = lookup,
	    .get_spf = get_spf,
	    .name = "postward",
	    .hook = run};
}
