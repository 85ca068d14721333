/** The part of the npm package redlock 4 that is used; the package has no types. */
declare module "redlock" {
  import type { EventEmitter } from "node:events";
  import type { Cluster, Redis } from "ioredis";

  interface Lock {
    /** By `Date.now()`. */
    readonly expiration: number;
    extend(ttlMs: number): Promise<Lock>;
    unlock(): Promise<void>;
  }
  interface Options {
    readonly retryCount?: number;
    readonly retryDelay?: number;
    readonly retryJitter?: number;
  }
  export default class Redlock extends EventEmitter<{ clientError: [error: Error] }> {
    constructor(clients: readonly (Redis | Cluster)[], options?: Options);
    lock(resource: string, ttlMs: number): Promise<Lock>;
  }
}
