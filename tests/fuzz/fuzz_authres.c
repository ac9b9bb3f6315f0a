/* SPDX-License-Identifier: ISC */
/* Whose Authentication-Results field is it? */
#include "filters/authres.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_pool *pool = pw_pool_new(1u << 20);
	char *text = pw_pool_cstr(pool, pw_bytes(data, size));
	struct pw_authres v = { "x", "pass", text, text };

	(void)pw_authres_is_ours(pw_bytes(data, size), "mx.example.test");
	if (text != NULL) {
		const char *s = pw_authres_write(pool, "mx.example.test", &v,
		    1);

		if (s != NULL && !pw_authres_is_ours(pw_bytes_of(s),
		    "mx.example.test"))
			__builtin_trap();
	}
	pw_pool_free(&pool);
	return 0;
}
