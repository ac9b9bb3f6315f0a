/* SPDX-License-Identifier: ISC */
/*
 * Numbers with units.  Sizes count in steps of 1,024.  A time without a unit
 * would be a guess, so only 0 may go without.
 */
#include "config/config_priv.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* From small to large. */
static const struct unit size_units[] = {
	{ "", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
};
static const struct unit time_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
};
static const struct unit plain_units[] = { { "", 1 } };

static const struct unit *
units_of(enum pw_opt_type type, size_t *n)
{
	if (type == PW_OPT_SIZE) {
		*n = PW_COUNT(size_units);
		return size_units;
	}
	if (type == PW_OPT_TIME) {
		*n = PW_COUNT(time_units);
		return time_units;
	}
	*n = PW_COUNT(plain_units);
	return plain_units;
}

int
pw_unit_parse(enum pw_opt_type type, const char *text, uint64_t *out,
    const char **what)
{
	size_t n, digits = strspn(text, "0123456789");
	const struct unit *u = units_of(type, &n);
	const char *unit = text + digits;
	uint64_t v;

	if (digits == 0) {
		*what = text[0] == '-' ? "is below zero" : "is not a number";
		return -1;
	}
	if (pw_bytes_u64(pw_bytes(text, digits), INT64_MAX, &v) != 0) {
		*what = "is too much";
		return -1;
	}
	if (*unit == '\0' && type == PW_OPT_TIME && v != 0) {
		*what = "has no unit";
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		/* "k" is a common spelling; "M" for a time would be a guess
		 * between minutes and months. */
		if (type == PW_OPT_SIZE ?
			!pw_bytes_caseeq(pw_bytes_of(unit),
			    pw_bytes_of(u[i].name)) :
			strcmp(unit, u[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(v, u[i].factor, out) ||
		    *out > INT64_MAX) {
			*what = "is too much";
			return -1;
		}
		return 0;
	}
	if (*unit == '\0') {
		*out = v;
		return 0;
	}
	*what = type == PW_OPT_INT ? "is not a whole number" :
				     "has an unknown unit";
	return -1;
}

void
pw_unit_format(enum pw_opt_type type, uint64_t v, char *out, size_t size)
{
	size_t n;
	const struct unit *u = units_of(type, &n);

	if (v == 0) {
		snprintf(out, size, "%s", type == PW_OPT_TIME ? "0s" : "0");
		return;
	}
	while (v % u[n - 1].factor != 0)
		n--;
	snprintf(out, size, "%" PRIu64 "%s", v / u[n - 1].factor,
	    u[n - 1].name);
}
