/* SPDX-License-Identifier: ISC */
/*
 * A libunbound context made from our options.  Everything that reads a file
 * happens here: the context leaves pw_ub_open() finalised, with its root hints,
 * trust anchors and settings in memory.  Resolve role only.
 */
#include "dns/ub.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#define CACHE_DEFAULT ((size_t)48 << 20)
#define SOCKETS_MIN 16
#define SOCKETS_MAX 4096
#define SOCKETS_SPARE                                                          \
	192 /* descriptors kept for TCP, channels and the rest                 \
	     */
#define TCP_MAX 64

/* libunbound logs by way of one FILE in the process: this context's. */
static struct pw_ub *log_owner;

/* ---- settings ---------------------------------------------------------- */

/*
 * Sockets for questions on their way.  The library's own 16 are too few for a
 * server: as many questions to dead name servers would hold up all others.
 */
static unsigned
max_sockets(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 ||
	    rl.rlim_cur < SOCKETS_SPARE + SOCKETS_MIN)
		return SOCKETS_MIN;
	rlim_t n = rl.rlim_cur - SOCKETS_SPARE;
	return n < SOCKETS_MAX ? (unsigned)n : SOCKETS_MAX;
}

static void
write_settings(struct pw_strbuf *sb, const struct pw_resolver_opts *opts)
{
	size_t cache =
	    opts->cache_bytes > 0 ? opts->cache_bytes : CACHE_DEFAULT;
	bool localhost = opts->allow_loopback || opts->nservers > 0;

	/* A server that was configured may be on loopback: no other is asked
	 * then.  Found by recursion, such an address is an attempt to reach
	 * our own services. */
	pw_strbuf_addf(sb,
	    "server:\n"
	    " msg-cache-size: %zu\n"
	    " rrset-cache-size: %zu\n"
	    " outgoing-range: %u\n"
	    " outgoing-num-tcp: %d\n"
	    " minimal-responses: yes\n"
	    " do-not-query-localhost: %s\n",
	    cache / 3, cache - cache / 3, max_sockets(), TCP_MAX,
	    localhost ? "no" : "yes");
	/* A resolver of the site may know the site's own networks. */
	if (opts->nservers > 0)
		pw_strbuf_adds(
		    sb, " unblock-lan-zones: yes\n insecure-lan-zones: yes\n");
	if (opts->allow_loopback)
		pw_strbuf_adds(sb,
		    " local-zone: \"test.\" nodefault\n"
		    " local-zone: \"invalid.\" nodefault\n"
		    " local-zone: \"127.in-addr.arpa.\" nodefault\n"
		    " local-zone: \"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		    "0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.\" nodefault\n");
}

static int
fail(const struct pw_ub *ub, struct pw_err *err, int rc, const char *what)
{
	return pw_err_set(err, 0, "dns: %s: %s%s%s", what, ub_strerror(rc),
	    ub->said[0] != '\0' ? ": " : "", ub->said);
}

/* Some settings are taken from a file only, so it gets one, in memory. */
static int
apply_settings(
    struct pw_ub *ub, const struct pw_resolver_opts *opts, struct pw_err *err)
{
	struct pw_strbuf sb;
	char path[64];
	int rc = -1, fd = memfd_create("unbound.conf", MFD_CLOEXEC);

	pw_strbuf_init(&sb, 8192);
	write_settings(&sb, opts);
	if (fd < 0 || write(fd, sb.ptr, sb.len) != (ssize_t)sb.len) {
		(void)pw_err_sys(err, "dns: settings in memory");
	} else {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		rc = ub_ctx_config(ub->ctx, path);
		if (rc != 0)
			(void)fail(ub, err, rc, "own settings");
	}
	if (fd >= 0)
		close(fd);
	pw_strbuf_free(&sb);
	return rc == 0 ? 0 : -1;
}

/* The library says only that it failed: find out first. */
static int
check_file(const char *path, const char *what, struct pw_err *err)
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return pw_err_sys(err, "dns: %s %s", what, path);
	(void)fclose(f);
	return 0;
}

static int
apply_files(
    struct pw_ub *ub, const struct pw_resolver_opts *opts, struct pw_err *err)
{
	int rc;

	if (opts->trust_anchor != NULL) {
		if (check_file(opts->trust_anchor, "trust anchor", err) != 0)
			return -1;
		rc = ub_ctx_add_ta_file(ub->ctx, opts->trust_anchor);
		if (rc != 0)
			return fail(ub, err, rc, opts->trust_anchor);
	}
	if (opts->root_hints != NULL) {
		if (check_file(opts->root_hints, "root hints", err) != 0)
			return -1;
		rc =
		    ub_ctx_set_option(ub->ctx, "root-hints:", opts->root_hints);
		if (rc != 0)
			return fail(ub, err, rc, opts->root_hints);
	}
	if (opts->config != NULL) {
		if (check_file(opts->config, "settings", err) != 0)
			return -1;
		rc = ub_ctx_config(ub->ctx, opts->config);
		if (rc != 0)
			return fail(ub, err, rc, opts->config);
	}
	return 0;
}

static int
apply_servers(
    struct pw_ub *ub, const struct pw_resolver_opts *opts, struct pw_err *err)
{
	for (size_t i = 0; i < opts->nservers; i++) {
		if (ub_ctx_set_fwd(ub->ctx, opts->servers[i]) != 0)
			return pw_err_set(err, 0,
			    "dns: server \"%s\": must be ADDRESS or "
			    "ADDRESS@PORT",
			    opts->servers[i]);
	}
	return 0;
}

/* ---- making and ending ------------------------------------------------- */

static void
on_localhost(void *arg, int rcode, void *packet, int len, int sec,
    char *why_bogus, int was_ratelimited)
{
	(void)arg;
	(void)rcode;
	(void)packet;
	(void)len;
	(void)sec;
	(void)why_bogus;
	(void)was_ratelimited;
}

/* The first question makes the library read what it was told to read.  This
 * one it answers itself. */
static int
finalise(struct pw_ub *ub, struct pw_err *err)
{
	int rc = ub_resolve_event(
	    ub->ctx, "localhost", PW_DNS_A, 1, NULL, on_localhost, NULL);

	if (rc != 0)
		return fail(ub, err, rc, "cannot start unbound");
	return 0;
}

/* The FILE goes before the context: only one of the process is in use, and
 * libunbound closes what it finds there when it makes another context. */
static void
take_log(struct pw_ub *ub)
{
	if (log_owner != NULL)
		(void)ub_ctx_debugout(log_owner->ctx, NULL);
	log_owner = ub;
}

struct pw_ub *
pw_ub_open(struct pw_loop *loop, const struct pw_resolver_opts *opts,
    struct pw_err *err)
{
	struct pw_ub *ub = pw_xcalloc(1, sizeof(*ub));

	ub->base = pw_ub_base_new(loop);
	take_log(NULL);
	ub->ctx = ub_ctx_create_ub_event(pw_ub_base_get(ub->base));
	ub->log = pw_ub_log_open(ub);
	if (ub->ctx == NULL || ub->log == NULL) {
		(void)pw_err_set(err, ENOMEM, "dns: out of memory");
		goto failed;
	}
	take_log(ub);
	(void)ub_ctx_debugout(ub->ctx, ub->log);

	/* The admin's file comes last: what it says again, it wins. */
	if (apply_settings(ub, opts, err) != 0 ||
	    apply_servers(ub, opts, err) != 0 ||
	    apply_files(ub, opts, err) != 0 || finalise(ub, err) != 0)
		goto failed;
	return ub;
failed:
	pw_ub_close(&ub);
	return NULL;
}

void
pw_ub_close(struct pw_ub **ubp)
{
	struct pw_ub *ub = *ubp;

	if (ub == NULL)
		return;
	if (ub->ctx != NULL) {
		(void)ub_ctx_debugout(ub->ctx, NULL);
		if (log_owner == ub)
			log_owner = NULL;
		ub_ctx_delete(ub->ctx);
	}
	if (ub->log != NULL)
		(void)fclose(ub->log);
	pw_ub_base_free(&ub->base);
	free(ub);
	*ubp = NULL;
}
