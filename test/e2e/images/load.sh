#!/bin/sh
# Usage: load.sh CLUSTER: loads the images into the kind cluster that only the tests need: those of the lock services, and that
# of a lock of the user's own. An image of a service that docker neither has nor can pull is built here, if there is a folder
# for it; the nodes of kind have that of etcd.
set -eu
cluster=$1
cd "$(dirname "$0")/../../.."
for name in zookeeper; do
  image=$(sed -n "s/^ *image: *\($name:.*\)/\1/p" helm/Chart.yaml)
  docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" 2>/dev/null ||
    docker build --quiet --tag "$image" "test/e2e/images/$name"
  make load "CLUSTER=$cluster" "IMAGES=echo $image"
done
holdfast=$(sed -n 's/^ *image: *\(holdfast:.*\)/\1/p' helm/Chart.yaml)
docker build --quiet --tag holdfast-locks:e2e --build-arg "HOLDFAST=$holdfast" \
  --file test/e2e/images/own-lock/Dockerfile examples/locks
make load "CLUSTER=$cluster" "IMAGES=echo holdfast-locks:e2e"
