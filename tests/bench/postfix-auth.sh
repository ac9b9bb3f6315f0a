#!/bin/bash
# SPDX-License-Identifier: ISC
# Tuned Postfix with rspamd as milter, of which only SPF, DKIM and DMARC are on
# and ask the benchmark's name server.  Both are in one control group.
export PEER=postfix-auth OPTS="tuned rspamd" PORT=${PORT:-2509} RS_NORMAL=12343 MILTER_PORT=12342 RS_CTL=12344
export MILTER=unix:/var/mxbench/rspamd-milter.sock
peers=${POSTWARD_BENCH:?}/peers
. "$peers/lib.sh"
only_auth() {
	local etc=$STATE/rspamd/etc m
	for m in spf dkim dmarc; do
		echo 'enabled = true; check_local = true; check_authed = true;' >"$etc/local.d/$m.conf"
	done
	for m in bayes regexp multimap mime_types forged_recipients maillist once_received \
		trie emails chartable headers_checks spamtrap force_actions aliases rspamd_update; do
		echo 'enabled = false;' >"$etc/local.d/$m.conf"
	done
	cat >"$etc/local.d/options.inc" <<-EOF
	dns { nameserver = ["127.0.0.1:${BENCH_DNS_PORT:?}"]; timeout = 2s; }
	local_addrs = ["192.0.2.254"];
	pidfile = false;
	EOF
}
if [ "${1:-}" = start ]; then
	[ -z "$(cg_pids)" ] || { echo "$PEER runs already" >&2; exit 1; }
	bash "$peers/postfix.sh" start || exit 1
	(
		[ -n "$CGROUP" ] && echo "$BASHPID" >"$CGROUP/cgroup.procs"
		. "$peers/rspamd-conf.sh"
		rspamd_conf
		only_auth
		rspamd_run
	)
	# It compiles its patterns first.
	for _ in 1 2 3 4 5 6; do
		wait_port "$MILTER_PORT" 2>/dev/null && break
	done
	wait_port "$MILTER_PORT" || { bash "$peers/postfix.sh" stop; exit 1; }
	sleep 1
else
	exec bash "$peers/postfix.sh" "$@"
fi
