# Starts ZooKeeper in the pod with the configuration of the release, to which this adds what differs between releases and pods:
# the members, and the super user with the hash of its password in the form that ZooKeeper reads (SHA-1 in Base64).
set -eu
umask 077
hash=$(printf 'super:%s' "$ZOOKEEPER_ADMIN_PASSWORD" | sha1sum | cut -c1-40 | sed 's/../\\x&/g')
unset ZOOKEEPER_ADMIN_PASSWORD
{
  cat /etc/zookeeper/zoo.cfg
  echo "DigestAuthenticationProvider.superDigest=super:$(printf "$hash" | base64)"
  number=0
  for member in $ZOOKEEPER_MEMBERS; do
    number=$((number + 1))
    echo "server.$number=$member:2888:3888"
  done
} >/tmp/zoo.cfg
echo "$((${HOSTNAME##*-} + 1))" >/data/myid
exec zkServer.sh start-foreground /tmp/zoo.cfg
