import type { AclProbe } from "../judge/report-data.ts";

/** The coordinator's side of the lock services beside Redis: is the service there, who may use it, what it refuses. */
export interface LockServiceClient {
  /** Resolves with the name and version of the service, once it answers. Throws ServerError; final where waiting cannot help. */
  check(): Promise<string>;
  /**
   * Creates the account that the workers use, with no more rights than a lock needs, if the variables have the login of an
   * administrator. Does nothing if the account is there. Throws ServerError.
   */
  prepare(): Promise<void>;
  /** Tries what the account of the workers must be refused. Throws ServerError when the service is unreachable. */
  probes(): Promise<AclProbe[]>;
  /** The shortest TTL that the service grants, milliseconds. */
  shortestTtlMs(): Promise<number>;
  close(): void;
}
