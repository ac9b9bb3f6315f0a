/* SPDX-License-Identifier: ISC */
/*
 * Sorts stages by their facts: a stable topological order, in which dear
 * stages come as late as their consumers allow.
 */
#include "filters/order.h"

#include <string.h>

#include "filters/eval.h"

/* "x?" as "x": the length without the mark. */
static size_t
fact_len(const char *name, bool *optional)
{
	size_t n = strlen(name);

	*optional = n > 0 && name[n - 1] == '?';
	return *optional ? n - 1 : n;
}

static bool
provides(const struct pw_stage *s, const char *name, size_t len)
{
	if (s->provides == NULL)
		return false;
	for (size_t i = 0; s->provides[i] != NULL; i++)
		if (strlen(s->provides[i]) == len &&
		    memcmp(s->provides[i], name, len) == 0)
			return true;
	return false;
}

static bool
host_provides(const char *name, size_t len)
{
	char copy[PW_FACT_NAME_MAX + 1];

	if (len > PW_FACT_NAME_MAX)
		return false;
	memcpy(copy, name, len);
	copy[len] = '\0';
	return pw_host_has_fact(copy);
}

static unsigned
first_phase(const struct pw_stage *s)
{
	unsigned p = 0;

	while (p < PW_PHASE_COUNT && (s->phases & PW_PHASE_BIT(p)) == 0)
		p++;
	return p;
}

/* The producers of one need of stage I. */
static int
add_need(const struct pw_stage *const *stage, size_t n, size_t i,
    const char *need, uint64_t *deps, struct pw_err *err)
{
	bool optional;
	size_t len = fact_len(need, &optional), found = 0;

	if (host_provides(need, len))
		return 0;
	for (size_t k = 0; k < n; k++) {
		if (k == i || !provides(stage[k], need, len))
			continue;
		if (first_phase(stage[k]) > first_phase(stage[i]))
			return pw_err_set(err, 0, "stage %s needs '%.*s', "
			    "which stage %s provides only in a later phase",
			    stage[i]->name, (int)len, need, stage[k]->name);
		*deps |= UINT64_C(1) << k;
		found++;
	}
	if (found == 0 && !optional)
		return pw_err_set(err, 0, "stage %s needs '%.*s', which no "
		    "configured stage provides", stage[i]->name, (int)len,
		    need);
	return 0;
}

static int
check_double(const struct pw_stage *const *stage, size_t n, size_t i,
    struct pw_err *err)
{
	const char *const *p = stage[i]->provides;

	for (; p != NULL && *p != NULL; p++) {
		if (pw_host_has_fact(*p))
			return pw_err_set(err, 0, "stage %s provides '%s', "
			    "which is the host's", stage[i]->name, *p);
		for (size_t k = 0; k < i && k < n; k++)
			if (provides(stage[k], *p, strlen(*p)))
				return pw_err_set(err, 0, "stages %s and %s "
				    "both provide '%s'", stage[k]->name,
				    stage[i]->name, *p);
	}
	return 0;
}

/* The best stage that waits for none of LEFT, or N. */
static size_t
next_ready(const struct pw_stage *const *stage, size_t n, uint64_t left,
    const uint64_t *deps)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++) {
		if ((left >> i & 1) == 0 || (deps[i] & left) != 0)
			continue;
		if (best == n || stage[i]->cost < stage[best]->cost)
			best = i;
	}
	return best;
}

/* Follows producers until one comes again: names on the ring. */
static int
report_cycle(const struct pw_stage *const *stage, uint64_t left,
    const uint64_t *deps, struct pw_err *err)
{
	size_t at = (size_t)__builtin_ctzll(left);
	uint64_t seen = 0;

	while ((seen >> at & 1) == 0) {
		seen |= UINT64_C(1) << at;
		at = (size_t)__builtin_ctzll(deps[at] & left);
	}
	size_t next = (size_t)__builtin_ctzll(deps[at] & left);
	return pw_err_set(err, 0, "stages need each other's facts in a ring: "
	    "%s needs what %s provides, and that one waits for it",
	    stage[at]->name, stage[next]->name);
}

int
pw_order(const struct pw_stage *const *stage, size_t n, size_t *order,
    uint64_t *deps, struct pw_err *err)
{
	uint64_t left = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;

	for (size_t i = 0; i < n; i++) {
		const char *const *need = stage[i]->needs;

		deps[i] = 0;
		if (check_double(stage, n, i, err) < 0)
			return -1;
		for (; need != NULL && *need != NULL; need++)
			if (add_need(stage, n, i, *need, &deps[i], err) < 0)
				return -1;
	}
	for (size_t done = 0; done < n; done++) {
		size_t i = next_ready(stage, n, left, deps);

		if (i == n)
			return report_cycle(stage, left, deps, err);
		order[done] = i;
		left &= ~(UINT64_C(1) << i);
	}
	return 0;
}
