/** The lock services beside Redis: what names them, and what all three have in common. */
import { LOCK_SERVICES, type LockService } from "../contract.ts";
import { CONSUL_VARIABLES, consulAccess } from "./consul.ts";
import { ETCD_VARIABLES, etcdAccess } from "./etcd.ts";
import { ZOOKEEPER_VARIABLES, zooKeeperAccess } from "./zookeeper.ts";

export const LOCK_SERVICE_VARIABLES = {
  ...ZOOKEEPER_VARIABLES,
  ...CONSUL_VARIABLES,
  ...ETCD_VARIABLES,
};
export type LockServiceVariables = { readonly [Name in keyof typeof LOCK_SERVICE_VARIABLES]?: string | undefined };

/** Parses the URL and all that belongs to it. Throws an Error in one line that names the variable. */
const CHECKS: Readonly<Partial<Record<LockService, (variables: LockServiceVariables) => unknown>>> = {
  zookeeper: (variables) => zooKeeperAccess({ ...variables, ZOOKEEPER_URL: variables.ZOOKEEPER_URL ?? "" }),
  etcd: (variables) => etcdAccess({ ...variables, ETCD_URL: variables.ETCD_URL ?? "" }),
  consul: (variables) => consulAccess({ ...variables, CONSUL_URL: variables.CONSUL_URL ?? "" }),
};

export const urlVariable = <S extends LockService>(service: S) =>
  `${service.toUpperCase() as Uppercase<S>}_URL` as const;

/** The services that a URL names. */
export const namedServices = (variables: LockServiceVariables): LockService[] =>
  LOCK_SERVICES.filter((service) => variables[urlVariable(service)] !== undefined);

/** Throws an Error in one line that names the variable, unless this service can be used as the variables say. */
export const checkLockService = (service: LockService, variables: LockServiceVariables): unknown =>
  CHECKS[service]?.(variables);

/** Variables that only the coordinator may know, because they can create accounts. */
export const isAdminVariable = (name: string): boolean => name.includes("_ADMIN_");
