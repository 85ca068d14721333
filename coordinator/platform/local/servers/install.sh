#!/bin/sh
# Installs the missing servers that a run on one machine needs, from Debian or Ubuntu, except those that MYSQL_URL,
# REDIS_URL or PROMETHEUS_URL replace. Services are neither started nor enabled, because each run starts its own
# servers. With the argument `tests` also what only tests need; tests are skipped where that cannot be installed, and so
# is a fault that needs libfaketime.
# Other arguments are options of the run: a lock service that they name is installed as well.
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
POLICY=/usr/sbin/policy-rc.d
ZOOKEEPER_JAR=/usr/share/java/zookeeper.jar

is_there() { command -v "$1" >/dev/null 2>&1; }

# As findClockLibraries of fake-clock.ts looks for it.
has_faketime() {
  for library in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib*/faketime/libfaketimeMT.so.1; do
    [ ! -e "$library" ] || return 0
  done
  return 1
}

fail() {
  echo "holdfast: $1" >&2
  exit 1
}

all="$*"
# Whether the options of the run name this strategy.
asked_for() {
  case " $all " in *[\ ,=]"$1"[\ ,]*) return 0 ;; esac
  return 1
}

missing=
[ -n "${MYSQL_URL:-}" ] || is_there mysqld || is_there mariadbd || missing="$missing mariadb-server-core"
[ -n "${REDIS_URL:-}" ] || is_there redis-server || missing="$missing redis-server"
[ -n "${PROMETHEUS_URL:-}" ] || is_there prometheus || missing="$missing prometheus"
[ "${1:-}" != tests ] || is_there openssl || missing="$missing openssl"
if asked_for zookeeper && [ -z "${ZOOKEEPER_URL:-}" ]; then
  is_there java || missing="$missing default-jre-headless"
  [ -e "$ZOOKEEPER_JAR" ] || missing="$missing libzookeeper-java"
fi
if asked_for etcd && [ -z "${ETCD_URL:-}" ]; then
  is_there etcd || missing="$missing etcd-server"
fi
wanted=
# "faults" is the name of the scenario, which makes all faults that can be made.
if [ "${1:-}" = tests ] || asked_for faults || asked_for clock-jump; then
  [ -n "${REDIS_URL:-}" ] || has_faketime || wanted="$wanted libfaketime"
fi
if [ "${1:-}" = tests ]; then
  is_there java || wanted="$wanted default-jre-headless"
  [ -e "$ZOOKEEPER_JAR" ] || wanted="$wanted libzookeeper-java"
  is_there etcd || wanted="$wanted etcd-server"
  /usr/bin/python3 -c 'import redis' 2>/dev/null || wanted="$wanted python3-redis"
fi
[ "${1:-}" != tests ] || [ -e /usr/lib/galera/libgalera_smm.so ] || wanted="$wanted galera-4"
[ "${1:-}" != tests ] || is_there chromium-headless-shell || is_there chromium || wanted="$wanted chromium-headless-shell"
[ -n "$missing$wanted" ] || exit 0

skip_wanted() {
  echo "holdfast: what needs$wanted will be skipped: $1" >&2
  exit 0
}
[ -n "$missing" ] || is_there apt-get || skip_wanted "there is no apt-get"
[ -n "$missing" ] || [ "$(id -u)" = 0 ] || is_there sudo || skip_wanted "installing packages needs root or sudo"
is_there apt-get || fail "servers are missing, and so is apt-get: install the equivalents of the Debian packages$missing, or set MYSQL_URL, REDIS_URL and PROMETHEUS_URL to servers of your own"
as_root=
if [ "$(id -u)" != 0 ]; then
  is_there sudo || fail "servers are missing, and installing them needs root or sudo: run apt-get install$missing as root"
  as_root=sudo
fi

echo "installing from Debian, without starting or enabling services:$missing$wanted"
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
[ -z "$missing" ] || apt install --no-install-recommends $missing >>"$scratch/log" 2>&1 || {
  tail -n 5 "$scratch/log" >&2
  fail "apt-get install$missing failed (see above): install them by hand"
}
# One by one, because a distribution may have only some of them.
for package in $wanted; do
  apt install --no-install-recommends "$package" >>"$scratch/log" 2>&1 || {
    tail -n 5 "$scratch/log" >&2
    echo "holdfast: what needs $package will be skipped: apt-get could not install it (see above)" >&2
  }
done
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
