/* SPDX-License-Identifier: ISC */
/* One reply for several recipients. */
#include "filters/settle.h"

#include <stdbool.h>

#include "filters/policy.h"

static bool
is_refused(uint8_t action)
{
	return action == PW_VERDICT_REFUSE || action == PW_VERDICT_REFUSE_KEEP;
}

enum pw_settled
pw_settle(const uint8_t *verdict, uint8_t *action, size_t n, size_t *by)
{
	bool accept = false;

	*by = 0;
	for (size_t i = 0; i < n; i++) {
		action[i] = verdict[i];
		if (verdict[i] == PW_VERDICT_DEFER) {
			*by = i;
			for (size_t k = 0; k < n; k++)
				action[k] = PW_VERDICT_DEFER;
			return PW_SETTLED_DEFER;
		}
		accept |= !is_refused(verdict[i]);
	}
	if (!accept)
		return PW_SETTLED_REFUSE;
	for (size_t i = 0; i < n; i++)
		if (is_refused(verdict[i]))
			action[i] = PW_VERDICT_HOLD;
	return PW_SETTLED_ACCEPT;
}

enum pw_settled
pw_settle_prdr(const enum pw_settled *one, size_t n, size_t *by)
{
	static const enum pw_settled order[] = { PW_SETTLED_ACCEPT,
		PW_SETTLED_DEFER };

	for (size_t k = 0; k < PW_COUNT(order); k++)
		for (size_t i = 0; i < n; i++)
			if (one[i] == order[k]) {
				*by = i;
				return order[k];
			}
	*by = 0;
	return PW_SETTLED_REFUSE;
}

const char *
pw_settle_why(uint8_t verdict, uint8_t action)
{
	if (verdict == action)
		return "";
	return action == PW_VERDICT_DEFER ?
	    "; deferred, since another recipient of the same message is, and "
	    "one reply must do for all" :
	    "; held, since others of the same message take it, and one reply "
	    "must do for all";
}
