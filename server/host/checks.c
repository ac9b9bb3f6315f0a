/* SPDX-License-Identifier: ISC */
/* See checks.h. */
#include "host/checks.h"

#include "config/config.h"
#include "filters/pipeline.h"

void
pw_checks_init(void)
{
	static const char **names; /* kept: the check looks at it later */
	size_t n = 0;

	if (names == NULL && pw_pipeline_stage_names(NULL, &names, &n) == 0)
		pw_config_set_stage_names(names, n);
}
