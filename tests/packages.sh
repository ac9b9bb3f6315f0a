# SPDX-License-Identifier: ISC
# The Debian packages that building, trying and testing need, each with why.
# Sourced by quickstart, runtests and .ci/run.
#
#   need_packages SET...   SET is build, demo or test

packages() {
	case $1 in
	build) cat <<-EOF
		gcc the compiler
		libc6-dev headers of the C library
		linux-libc-dev headers of Landlock
		make runs the build
		gawk makes C of the SQL statements
		autoconf makes configure
		automake makes Makefile.in
		pkg-config finds libraries
		libssl-dev TLS and hashes
		libsqlite3-dev index, records, accounts
		libconfig-dev reads the configuration
		libunbound-dev DNS
		libldns-dev reads DNS packets
		libspf2-dev SPF
		libopendkim-dev DKIM
		libgmime-3.0-dev MIME
		libidn2-dev international domain names
		libunistring-dev one form of international local parts
		libpsl-dev public suffixes
		libseccomp-dev confines the roles
		libargon2-dev password hashes
		libjansson-dev JSON
		zlib1g-dev checksums
		dns-root-data the trust anchor of DNSSEC
		EOF
		;;
	demo) cat <<-EOF
		python3 writes the demonstration and its mails
		python3-dkim signs a demonstration mail
		openssl makes a throw-away certificate
		knot answers DNS for the demonstration's domains
		swaks sends mail by hand
		libnet-ssleay-perl lets swaks speak TLS
		curl reads mail by hand
		dovecot-imapd serves the Maildir by IMAP
		dovecot-pop3d serves the Maildir by POP3
		dovecot-sqlite reads users from the accounts table
		EOF
		;;
	test) cat <<-EOF
		check unit tests
		clang the second compiler, fuzz targets
		libclang-rt-14-dev libFuzzer and sanitizers
		postfix smtp-source, a load generator that is not ours
		python3-yaml reads the SPF and ARC suites
		libxml2-utils checks aggregate reports
		publicsuffix the list, for DMARC's older mode
		procps finds processes of a test
		sqlite3 looks at databases from outside
		xz-utils packs the distribution
		groff checks the manual pages
		man-db checks the manual pages
		fuse3 a file system that loses power
		libfuse3-dev a file system that loses power
		EOF
		;;
	esac
}

# Installs what is missing of the sets; says which packages, and why.
need_packages() {
	missing=$(for set in "$@"; do packages "$set"; done |
		while read -r name why; do
			dpkg-query -W -f '${Status}' "$name" 2>/dev/null |
				grep -q 'install ok installed' ||
				echo "$name $why"
		done)
	[ -n "$missing" ] || return 0
	echo "Installing Debian packages:"
	echo "$missing" | while read -r name why; do
		printf '  %-22s %s\n' "$name" "$why"
	done
	as_root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null 2>&1 || {
			echo "$0: packages are missing and there is no sudo; as root: apt-get install $(echo "$missing" | cut -d ' ' -f 1 | tr '\n' ' ')" >&2
			return 1
		}
		as_root=sudo
	fi
	# Services of these packages are started by tests, not by their installation.
	policy=/usr/sbin/policy-rc.d
	made=
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null &&
			$as_root chmod 755 "$policy" && made=1
	fi
	rc=0
	{ $as_root apt-get update -q &&
		echo "$missing" | cut -d ' ' -f 1 |
		DEBIAN_FRONTEND=noninteractive xargs $as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends; } >/tmp/postward-apt.$$ 2>&1 </dev/null || rc=1
	[ -z "$made" ] || $as_root rm -f "$policy"
	if [ $rc != 0 ]; then
		tail -n 5 /tmp/postward-apt.$$ >&2
		echo "$0: apt-get could not install these packages; see above" >&2
	fi
	rm -f /tmp/postward-apt.$$
	return $rc
}
