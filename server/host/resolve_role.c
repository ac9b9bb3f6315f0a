/* SPDX-License-Identifier: ISC */
/*
 * The role resolve: one caching resolver for all other roles, without files.
 */
#include <sysexits.h>
#include <unistd.h>

#include "dns/dns.h"
#include "host/role.h"
#include "host/sandbox.h"

struct resolve_role {
	struct pw_loop *loop;
	struct pw_resolver *resolver;
	struct pw_master_link *link;
};

static void
on_peer(void *arg, enum pw_role_id peer, unsigned number, unsigned lane, int fd)
{
	struct resolve_role *r = arg;

	(void)peer;
	(void)number;
	(void)lane;
	if (pw_resolver_serve(r->resolver, fd) != 0)
		(void)close(fd);
}

static void
on_stop(void *arg)
{
	struct resolve_role *r = arg;

	pw_loop_stop(r->loop);
}

static struct pw_resolver_opts
options(const struct pw_config *cfg)
{
	struct pw_resolver_opts o = { 0 };

	o.servers = cfg->dns.servers.v;
	o.nservers = cfg->dns.servers.n;
	o.trust_anchor = cfg->dns.trust_anchor;
	o.root_hints = cfg->dns.root_hints;
	o.config = cfg->dns.unbound_conf;
	o.cache_bytes = cfg->dns.cache;
	o.allow_loopback = cfg->dns.allow_loopback;
	if (o.trust_anchor != NULL && o.trust_anchor[0] == '\0')
		o.trust_anchor = NULL;
	if (o.root_hints != NULL && o.root_hints[0] == '\0')
		o.root_hints = NULL;
	if (o.config != NULL && o.config[0] == '\0')
		o.config = NULL;
	return o;
}

int
pw_resolve_role_run(const struct pw_role_start *role)
{
	static const struct pw_master_link_ops ops = { .on_peer = on_peer,
		.on_stop = on_stop };
	const struct pw_sandbox sb = { .role = PW_RID_RESOLVE };
	struct pw_resolver_opts o = options(role->cfg);
	struct resolve_role r = { 0 };
	struct pw_err err = { 0 };

	r.loop = pw_loop_new(&err);
	if (r.loop != NULL)
		r.resolver = pw_resolver_new(r.loop, &o, &err);
	if (r.resolver == NULL || pw_sandbox_enter(&sb, &err) != 0)
		return pw_role_failed(role->master_fd, "resolve", &err);
	r.link = pw_master_link_new(r.loop, role->master_fd, &ops, &r);
	pw_master_link_ready(r.link);
	(void)pw_loop_run(r.loop);
	pw_master_link_free(&r.link);
	pw_resolver_free(&r.resolver);
	pw_loop_free(&r.loop);
	return EX_OK;
}
