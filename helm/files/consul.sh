# Starts Consul in the pod with the configuration of the release, and the token of the administrator.
set -eu
umask 077
printf '{"acl": {"tokens": {"initial_management": "%s"}}}\n' "$CONSUL_ADMIN_TOKEN" >/tmp/token.json
unset CONSUL_ADMIN_TOKEN
exec consul agent -config-file=/etc/consul/consul.json -config-file=/tmp/token.json
