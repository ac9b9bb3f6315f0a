/* SPDX-License-Identifier: ISC */
/* Results as they come from a scan process that may have been taken over. */
#include "filters/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pw_registry reg;
	static const struct pw_job_item item[] = { { 0, PW_PHASE_BODY },
		{ 1, PW_PHASE_BODY } };
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_out out[2];
	struct pw_job job;

	reg.n = 2;
	reg.v[0].desc = &pw_stage_structure;
	reg.v[1].desc = &pw_stage_dkim;
	(void)pw_results_dec(pw_bytes(data, size), &reg, item, 2, 1000, pool,
	    out);
	(void)pw_job_dec(pw_bytes(data, size), &reg, pool, &job);
	pw_pool_free(&pool);
	return 0;
}
