/* SPDX-License-Identifier: ISC */
/*
 * Generic reverse names, as providers make them for addresses that they hand
 * out: "192-0-2-10.pool.example.net", "host10.2.0.192.example.net",
 * "ipc000020a.example.net".
 */
#include "filters/rdns.h"

#include <stdio.h>

#define RUNS_MAX 16u

/* Numbers in NAME, those above 255 as 256. */
static size_t
numbers(const char *name, unsigned out[RUNS_MAX])
{
	size_t n = 0;

	while (*name != '\0' && n < RUNS_MAX) {
		unsigned v = 0;

		if (!pw_is_digit(*name)) {
			name++;
			continue;
		}
		for (; pw_is_digit(*name); name++)
			v = v > 255 ? 256 : v * 10 + (unsigned)(*name - '0');
		out[n++] = v > 255 ? 256 : v;
	}
	return n;
}

static bool
has_octets(const char *name, const uint8_t *b)
{
	unsigned v[RUNS_MAX];
	size_t n = numbers(name, v);

	for (size_t i = 0; i + 4 <= n; i++)
		if ((v[i] == b[0] && v[i + 1] == b[1] && v[i + 2] == b[2] &&
		    v[i + 3] == b[3]) || (v[i] == b[3] && v[i + 1] == b[2] &&
		    v[i + 2] == b[1] && v[i + 3] == b[0]))
			return true;
	return false;
}

static bool
is_generic4(const char *name, const uint8_t *b)
{
	char text[16];

	if (has_octets(name, b))
		return true;
	snprintf(text, sizeof(text), "%03u%03u%03u%03u", b[0], b[1], b[2],
	    b[3]);
	if (strstr(name, text) != NULL)
		return true;
	snprintf(text, sizeof(text), "%03u%03u%03u%03u", b[3], b[2], b[1],
	    b[0]);
	if (strstr(name, text) != NULL)
		return true;
	snprintf(text, sizeof(text), "%02x%02x%02x%02x", b[0], b[1], b[2],
	    b[3]);
	return strstr(name, text) != NULL;
}

/* Hyphens and dots between the digits do not count. */
static bool
is_generic6(const char *name, const uint8_t *b)
{
	char bare[256], forth[17], back[17];
	size_t n = 0;

	for (; *name != '\0' && n + 1 < sizeof(bare); name++)
		if (*name != '-' && *name != '.')
			bare[n++] = *name;
	bare[n] = '\0';
	for (int i = 0; i < 8; i++) {
		snprintf(forth + 2 * i, 3, "%02x", b[8 + i]);
		snprintf(back + 2 * i, 3, "%x%x", b[15 - i] & 15,
		    b[15 - i] >> 4);
	}
	/* "::1" and the like are in many names; a host made up its name. */
	if (strncmp(forth, "000000000000", 12) == 0)
		return false;
	return strstr(bare, forth) != NULL || strstr(bare, back) != NULL;
}

bool
pw_rdns_is_generic(const char *name, const struct pw_ip *ip)
{
	if (ip->family == 4)
		return is_generic4(name, ip->b);
	return ip->family == 6 && is_generic6(name, ip->b);
}
