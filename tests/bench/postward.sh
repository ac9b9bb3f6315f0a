#!/bin/bash
# SPDX-License-Identifier: ISC
# Postward as a peer of the benchmark harness: start, stop, info, status (see the
# harness's peers/lib.sh).  Stages off unless STAGES is set, as for the peers.
# Per-address caps and the minimum rate are lifted: all clients are 127.0.0.1.
export PEER=${PEER:-postward}
. "${POSTWARD_BENCH:?}/peers/lib.sh"
BUILD=${POSTWARD_BUILD:?}
VERSION="$("$BUILD/postwardd" --version 2>/dev/null | head -n 1)"
DURABILITY="250 after the journal record is synced and the file is in the Maildir"
conf=$STATE/etc/postward.conf

do_start() {
	mkdir -p "$STATE/etc" "$STATE/state" "$STATE/run"
	chown vmail:vmail "$STATE/state" "$STATE/run"
	# The harness makes mailboxes userN directly below MAILROOT.
	cat >"$conf" <<-EOF
	server: {
	    hostname = "mx.example.test"; state-dir = "$STATE/state";
	    run-dir = "$STATE/run"; user-front = "nobody"; user-store = "vmail";
	    front-threads = ${THREADS:-1};
	};
	listener: ( { name = "mx"; address = "127.0.0.1"; port = $PORT;
	    backlog = 4096; stages = [ "${STAGES:-none}" ]; } );
	certificate: ( { chain = "$CERT"; key = "$KEY"; } );
	dns: { servers = [ "127.0.0.1@${BENCH_DNS_PORT:-9}" ]; trust-anchor = ""; allow-loopback = true; };
	store: { mail-root = "$MAILROOT"; mailbox-path = "%u"; };
	smtp: { max-sessions = $((MAXCONN + 1000)); max-sessions-address = 1000000;
	    max-sessions-network = 1000000; min-rate = 0; max-messages = 100000; };
	log: { target = "$STATE/log"; level = "notice"; };
	EOF
	seq 0 $((NUSERS - 1)) | sed 's/.*/user&@example.test/' >"$STATE/etc/boxes"
	chown vmail "$STATE/etc/boxes"
	"$BUILD/postward" -c "$conf" domain add example.test >/dev/null &&
		"$BUILD/postward" -c "$conf" mailbox import "$STATE/etc/boxes" >/dev/null ||
		return 1
	chown -R vmail:vmail "$STATE/state"
	(cd / && "$BUILD/postwardd" -f -c "$conf" >"$STATE/out" 2>&1 </dev/null &)
}
do_stop() {
	"$BUILD/postward" -c "$conf" stop >/dev/null 2>&1 || return 0
	for _ in $(seq 100); do
		[ -z "$(cg_pids)" ] && break
		sleep 0.1
	done
}
main "$@"
