#!/bin/sh
# Usage: zkServer.sh start-foreground CONFIG
exec java "-Xmx${ZK_SERVER_HEAP:-1000}m" -cp '/usr/share/java/slf4j-simple.jar:/usr/share/java/*' \
  org.apache.zookeeper.server.quorum.QuorumPeerMain "$2"
