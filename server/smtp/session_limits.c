/* SPDX-License-Identifier: ISC */
/* The limits of a session: the section smtp, and what its listener says in its
 * place. */
#include "base/pool.h"
#include "smtp/session.h"

#define TAKE(to, l, field)                                                   \
	do {                                                                 \
		if ((l)->field != 0)                                         \
			(to)->field = (l)->field;                            \
	} while (0)

struct pw_config_smtp *
pw_smtp_limits_new(const struct pw_config *cfg)
{
	struct pw_config_smtp *v = pw_xcalloc(
	    cfg->nlistener > 0 ? cfg->nlistener : 1, sizeof(*v));

	for (size_t i = 0; i < cfg->nlistener; i++) {
		const struct pw_config_listener *l = &cfg->listener[i];

		v[i] = cfg->smtp;
		TAKE(&v[i], l, max_message);
		TAKE(&v[i], l, max_recipients);
		TAKE(&v[i], l, max_messages);
		TAKE(&v[i], l, max_errors);
		TAKE(&v[i], l, max_sessions_address);
		TAKE(&v[i], l, max_sessions_network);
		TAKE(&v[i], l, command_timeout);
		TAKE(&v[i], l, min_rate);
	}
	return v;
}

const struct pw_config_smtp *
pw_session_limits(const struct pw_session *s)
{
	return s->env->limit != NULL ? &s->env->limit[s->listener]
				     : &s->env->cfg->smtp;
}
