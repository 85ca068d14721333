#!/bin/sh
# Installs the missing servers that a run on one machine needs, from Debian or Ubuntu, except those that MYSQL_URL,
# REDIS_URL or PROMETHEUS_URL replace. Services are neither started nor enabled, because each run starts its own
# servers.
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
POLICY=/usr/sbin/policy-rc.d

is_there() { command -v "$1" >/dev/null 2>&1; }

fail() {
  echo "holdfast: $1" >&2
  exit 1
}

missing=
[ -n "${MYSQL_URL:-}" ] || is_there mysqld || is_there mariadbd || missing="$missing mariadb-server-core"
[ -n "${REDIS_URL:-}" ] || is_there redis-server || missing="$missing redis-server"
[ -n "${PROMETHEUS_URL:-}" ] || is_there prometheus || missing="$missing prometheus"
[ -n "$missing" ] || exit 0

is_there apt-get || fail "servers are missing, and so is apt-get: install the equivalents of the Debian packages$missing, or set MYSQL_URL, REDIS_URL and PROMETHEUS_URL to servers of your own"
as_root=
if [ "$(id -u)" != 0 ]; then
  is_there sudo || fail "servers are missing, and installing them needs root or sudo: run apt-get install$missing as root"
  as_root=sudo
fi

echo "installing from Debian, without starting or enabling services:$missing"
scratch=$(mktemp -d)
policy_is_ours=
finish() {
  if [ -n "$policy_is_ours" ]; then $as_root rm -f "$POLICY"; fi
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# The scripts of the packages run this before they start a service; exit status 101 forbids the start.
if [ ! -e "$POLICY" ]; then
  policy_is_ours=yes
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$POLICY" >/dev/null
  $as_root chmod 755 "$POLICY"
fi

installed() { dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p' | sort -u; }

installed >"$scratch/before"
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
# One broken package source of many is no reason to stop; if it matters, the installation fails.
apt update >"$scratch/log" 2>&1 || true
# shellcheck disable=SC2086 # one word for each package
apt install --no-install-recommends $missing >>"$scratch/log" 2>&1 || {
  tail -n 5 "$scratch/log" >&2
  fail "apt-get install$missing failed (see above): install them by hand"
}
installed >"$scratch/after"

# The scripts of the packages have enabled the services for the next boot.
for package in $(comm -13 "$scratch/before" "$scratch/after"); do
  for unit in $(dpkg --listfiles "$package" | sed -nE 's#.*/systemd/system/([^/@]+\.(service|socket|timer))$#\1#p' | sort -u); do
    if is_there systemctl; then
      $as_root systemctl disable --quiet "$unit" >/dev/null 2>&1 || true
    else
      $as_root deb-systemd-helper disable "$unit" >/dev/null 2>&1 || true
      if [ -e "/etc/init.d/${unit%.service}" ]; then $as_root update-rc.d "${unit%.service}" disable >/dev/null 2>&1 || true; fi
    fi
  done
done
