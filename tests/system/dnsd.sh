#!/bin/sh
# SPDX-License-Identifier: ISC
#
# An authoritative name server (Debian's knot) on loopback, for tests and for
# the demo.  Needs no root and leaves nothing outside its folder.
#
#   dnsd.sh start DIR PORT   serves every DIR/NAME.zone as zone NAME on
#                            127.0.0.1 PORT, UDP and TCP; returns when it
#                            answers.  With a file DIR/NAME.dnssec the zone is
#                            signed.  Names listed in DIR/silent get a name
#                            server that never answers (on PORT + 1), by way of
#                            DIR/unbound.conf, which is for dns.unbound_conf.
#   dnsd.sh reload DIR       reads the zone files again (not the list of them)
#   dnsd.sh anchor DIR NAME  prints the DS records of a signed zone, fit for
#                            dns.trust_anchor
#   dnsd.sh stop DIR
#
# Own files are in DIR/.knot: server.pid, silent.pid, knot.log, knot.conf.
set -eu
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)

die() {
	echo "dnsd.sh: $*" >&2
	exit 1
}

# The process of pid file $1 if it still is what it was: prints its id.
running() {
	[ -s "$1" ] || return 1
	read -r pid start <"$1"
	[ "$(started "$pid")" = "$start" ] && echo "$pid"
}

# When process $1 began: tells it from a later one with the same id.  Nothing
# for one that is gone, or ended and only not yet waited for.
started() {
	sed 's/.*) //; /^Z/d' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

note_pid() {
	echo "$1 $(started "$1")" >"$2"
}

end() {
	pid=$(running "$1") || return 0
	kill "$pid"
	n=0
	while running "$1" >/dev/null; do
		n=$((n + 1))
		[ "$n" -lt 250 ] || kill -9 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	rm -f "$1"
}

write_conf() {
	cat <<-EOF
	server:
	    rundir: "$run"
	    listen: 127.0.0.1@$port
	    udp-workers: 1
	    tcp-workers: 1
	    background-workers: 1
	database:
	    storage: "$run/db"
	    journal-db-max-size: 64M
	    kasp-db-max-size: 16M
	    timer-db-max-size: 16M
	log:
	  - target: stderr
	    any: info
	template:
	  - id: default
	    storage: "$dir"
	    file: "%s.zone"
	    zonefile-sync: -1
	    zonefile-load: whole
	    journal-content: none
	    semantic-checks: off
	zone:
	EOF
	for file in "$dir"/*.zone; do
		[ -e "$file" ] || die "no zone files in $dir"
		name=$(basename "$file" .zone)
		echo "  - domain: \"$name\""
		[ ! -e "$dir/$name.dnssec" ] ||
		    echo "    dnssec-signing: on"
	done
}

start_silent() {
	[ -s "$dir/silent" ] || return 0
	python=/usr/bin/python3
	setsid "$python" "$here/zones.py" silent $((port + 1)) \
	    >"$run/silent.log" 2>&1 &
	note_pid $! "$run/silent.pid"
	while read -r name; do
		printf 'forward-zone:\n name: "%s"\n forward-addr: %s\n' \
		    "$name" "127.0.0.1@$((port + 1))"
	done <"$dir/silent" >"$dir/unbound.conf"
}

start() {
	! running "$run/server.pid" >/dev/null || die "runs already in $dir"
	command -v knotd >/dev/null || die "knotd is missing: package knot"
	mkdir -p "$run/db"
	write_conf >"$run/knot.conf"
	: >"$run/knot.log"
	setsid knotd -c "$run/knot.conf" >"$run/knot.log" 2>&1 </dev/null &
	note_pid $! "$run/server.pid"
	start_silent
	# It says so when the zones are loaded and the port is open.
	wait_for "$run/server.pid" "$run/knot.log" 'server started'
	! grep -q 'cannot bind\|failed to load\|zone file.*error' \
	    "$run/knot.log" || give_up "$run/knot.log"
	[ ! -e "$run/silent.pid" ] ||
	    wait_for "$run/silent.pid" "$run/silent.log" '^ready'
}

# Until log $2 of the process of pid file $1 says $3, ten seconds at most.
wait_for() {
	n=0
	until grep -q "$3" "$2"; do
		n=$((n + 1))
		[ "$n" -le 500 ] || give_up "$2"
		running "$1" >/dev/null || give_up "$2"
		sleep 0.02
	done
}

give_up() {
	cat "$1" >&2
	end "$run/server.pid"
	end "$run/silent.pid"
	die "does not serve what it should"
}

usage="usage: dnsd.sh start DIR PORT | reload|stop DIR | anchor DIR NAME"
[ $# -ge 2 ] || die "$usage"
[ -d "$2" ] || die "no folder $2"
dir=$(cd "$2" && pwd)
run=$dir/.knot
case $1 in
start)
	port=${3:?"$usage"}
	start
	;;
reload)
	kill -HUP "$(running "$run/server.pid")" || die "does not run in $dir"
	;;
anchor)
	keymgr -c "$run/knot.conf" "${3:?"$usage"}" ds
	;;
stop)
	end "$run/silent.pid"
	end "$run/server.pid"
	;;
*)
	die "$usage"
	;;
esac
