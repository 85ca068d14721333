/** The client of each lock service beside Redis. */
import type { LockService } from "../../worker/contract.ts";
import type { LockServiceVariables } from "../../worker/servers/lock-services.ts";
import { createConsulClient } from "./consul.ts";
import { createEtcdClient } from "./etcd.ts";
import type { LockServiceClient } from "./lock-service-client.ts";
import { createZooKeeperClient } from "./zookeeper.ts";

type OpenClient = (variables: LockServiceVariables) => LockServiceClient;

const CLIENTS: Readonly<Partial<Record<LockService, OpenClient>>> = {
  zookeeper: (variables) => createZooKeeperClient({ ...variables, ZOOKEEPER_URL: variables.ZOOKEEPER_URL ?? "" }),
  etcd: (variables) => createEtcdClient({ ...variables, ETCD_URL: variables.ETCD_URL ?? "" }),
  consul: (variables) => createConsulClient({ ...variables, CONSUL_URL: variables.CONSUL_URL ?? "" }),
};

/** Opens no connection yet. */
export function openLockService(service: LockService, variables: LockServiceVariables): LockServiceClient {
  const open = CLIENTS[service];
  if (open === undefined) throw new Error(`there is no client for ${service}`);
  return open(variables);
}
