/* SPDX-License-Identifier: ISC */
/* What the index is told of any bytes: it must decode again within bounds. */
#include "filters/scanner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_msgview v;
	struct pw_meta *m = NULL;
	struct pw_enc e;
	struct pw_dec d;

	if (!ready)
		pw_structure_init();
	ready = true;
	if (pw_msgview_init(&v, pw_bytes(data, size), pool) == 0)
		m = pw_structure_meta(&v, pool);
	if (m != NULL) {
		pw_enc_init(&e, 1u << 20);
		pw_meta_enc(&e, m);
		pw_dec_init(&d, pw_enc_done(&e));
		if (pw_meta_dec(&d, pool) == NULL || pw_dec_end(&d) < 0)
			__builtin_trap();
		pw_enc_free(&e);
	}
	pw_pool_free(&pool);
	return 0;
}
