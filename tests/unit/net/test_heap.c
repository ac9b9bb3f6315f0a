/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/heap. */
#include <check.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "net/heap.h"
#include "net/loop.h"

Suite *pw_suite_net_heap(void);

/* Whether every entry knows its place and is not before the one above it. */
static bool
is_heap(const struct pw_heap *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->e[i].t->pos != i ||
		    h->e[i].due != h->e[i].t->due_ms ||
		    (i > 0 && h->e[(i - 1) / 4].due > h->e[i].due))
			return false;
	return true;
}

/* Random steps; the same ones each time. */
START_TEST(stays_a_heap)
{
	enum { N = 400 };
	static struct pw_timer t[N];
	static bool in[N];
	struct pw_heap h = { 0 };
	uint32_t seed = 1, count = 0;

	ck_assert_ptr_null(pw_heap_first(&h));
	for (int step = 0; step < 20000; step++) {
		seed = seed * 1664525 + 1013904223;
		size_t i = (seed >> 8) % N;
		if (in[i] && seed >> 31) {
			pw_heap_del(&h, &t[i]);
			in[i] = false;
			count--;
		} else {
			t[i].due_ms = (seed >> 4) % 1000;
			if (in[i]) {
				pw_heap_move(&h, &t[i]);
			} else {
				pw_heap_add(&h, &t[i]);
				count++;
			}
			in[i] = true;
		}
		if (h.n != count || (step % 16 == 0 && !is_heap(&h)))
			ck_abort_msg("broken after step %d", step);
	}
	uint64_t last = 0;
	for (struct pw_timer *f; (f = pw_heap_first(&h)) != NULL; count--) {
		ck_assert_uint_ge(f->due_ms, last);
		last = f->due_ms;
		pw_heap_del(&h, f);
		ck_assert(is_heap(&h));
	}
	ck_assert_uint_eq(count, 0);
	pw_heap_fini(&h);
}
END_TEST

/* 100,000 timers that are moved again and again: would take minutes in a list
 * and the time-out of the test with it. */
START_TEST(is_fast_with_many)
{
	enum { N = 100000 };
	struct pw_timer *t = pw_xcalloc(N, sizeof(*t));
	struct pw_heap h = { 0 };

	for (uint32_t i = 0; i < N; i++) {
		t[i].due_ms = i * UINT64_C(2654435761) % 300000;
		pw_heap_add(&h, &t[i]);
	}
	for (uint32_t k = 0; k < 10 * N; k++) {
		struct pw_timer *m = &t[k * UINT64_C(2654435761) % N];
		m->due_ms += 1000;
		pw_heap_move(&h, m);
	}
	ck_assert(is_heap(&h));
	pw_heap_fini(&h);
	free(t);
}
END_TEST

Suite *
pw_suite_net_heap(void)
{
	Suite *s = suite_create("net/heap");
	TCase *tc = tcase_create("heap");

	tcase_add_test(tc, stays_a_heap);
	tcase_add_test(tc, is_fast_with_many);
	suite_add_tcase(s, tc);
	return s;
}
