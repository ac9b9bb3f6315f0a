/* SPDX-License-Identifier: ISC */
/*
 * The sender's own words for a fail, RFC 7208 section 6.2.  Whatever is wrong
 * with them, the fail stands and there are none.
 */
#include "filters/spf/macro.h"
#include "filters/spf/run.h"

void
pw_spf_explain(struct pw_spf_run *run)
{
	struct pw_spf_macro_env env = {
	    run->req, run->top->domain, pw_spf_validated_name, run};
	const struct pw_dns_answer *a;
	char text[256], name[256];

	if (run->top->record.exp.ptr == NULL)
		return;
	if (pw_spf_macro_domain(run->top->record.exp, &env, text) != PW_OK ||
	    pw_spf_name(text, name) != 0)
		return;
	a = pw_spf_ask(run, name, PW_DNS_TXT);
	if (a == NULL || a->nrr != 1 || a->dropped > 0)
		return;
	(void)pw_spf_macro_text(a->rr[0].data, &env, run->out->explanation);
}
