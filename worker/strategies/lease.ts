import { randomUUID } from "node:crypto";
import { lockedSession } from "../lock-session.ts";
import { createLeaseLock } from "../locks/k8s-lease-lock.ts";
import { type Strategy, Unavailable } from "../strategy.ts";

/**
 * A Lease of Kubernetes, changed only if its resourceVersion is still the one that was read. Every acquisition costs
 * two or three requests to the API server, so it is slow. Its fencing token counts the holders; only a guard checks it.
 */
export const lease: Strategy = {
  async open(resources) {
    const { spec, leases, random, releaseFailed } = resources;
    const api = leases();
    if (api === undefined)
      throw new Unavailable("needs pods with a service account that may use leases (chart: lease.enabled=true)");
    const lock = createLeaseLock(api, {
      identity: randomUUID(),
      ttlMs: spec.lockTtlMs,
      extend: spec.extend,
      random,
      onReleaseFailed: releaseFailed,
    });
    return lockedSession(lock, resources);
  },
};
