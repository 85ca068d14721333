import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { createHold, driftMs, type Lease } from "./hold.ts";
import {
  checkMilliseconds,
  completeLock,
  type Lock,
  type LockError,
  type LockOptions,
  LockUnreachable,
} from "./lock.ts";
import { poll } from "./polling.ts";

/** The fields of a Lease of coordination.k8s.io that a lock needs. */
export interface LeaseObject {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string; readonly [key: string]: unknown };
  readonly spec: {
    readonly holderIdentity: string;
    readonly leaseDurationSeconds: number;
    readonly leaseTransitions: number;
    readonly renewTime: string;
    readonly acquireTime?: string;
  };
}

/** All return undefined if the object is missing or was changed, and throw LockUnreachable or LockDenied. */
export interface LeaseApi {
  read(name: string): Promise<LeaseObject | undefined>;
  create(lease: LeaseObject): Promise<LeaseObject | undefined>;
  /** Writes only if the resourceVersion is still the one of `lease`. */
  replace(lease: LeaseObject): Promise<LeaseObject | undefined>;
}

export interface LeaseLockOptions extends LockOptions {
  /** Unique among all clients of the lock. */
  readonly identity: string;
  /** Rounded up to whole seconds, the unit of a Lease. */
  readonly ttlMs: number;
  readonly extend?: boolean | undefined;
  /** Milliseconds between two attempts, on average; default 20. */
  readonly pollMs?: number | undefined;
  /** Uniform in [0, 1), for the time between two attempts. */
  readonly random?: (() => number) | undefined;
}

/**
 * A lock in Lease objects of a Kubernetes API server. Each change is a compare-and-set on the resourceVersion. A lost
 * holder is detected as in client-go: its record has not changed for the lease duration that it names, by the watcher's
 * own clock.
 *
 * The record is exact, but it is a lease: use `held.fence`, which counts the holders in `leaseTransitions`. It restarts
 * when somebody deletes the object.
 */
export function createLeaseLock(api: LeaseApi, options: LeaseLockOptions): Lock {
  const { identity, extend = true, pollMs = 20, random = Math.random } = options;
  checkMilliseconds("ttlMs", options.ttlMs, 1);
  const seconds = Math.ceil(options.ttlMs / 1_000);
  const ttlMs = seconds * 1_000;
  /** When each record was first seen in its current version. */
  const seen = new Map<string, { resourceVersion: string | undefined; atMs: number }>();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  let sequence = 0;

  function isFree({ metadata: { name, resourceVersion }, spec }: LeaseObject): boolean {
    if (spec.holderIdentity === "") return true;
    const before = seen.get(name);
    if (before?.resourceVersion !== resourceVersion) {
      seen.set(name, { resourceVersion, atMs: performance.now() });
      return false;
    }
    const lifeMs = spec.leaseDurationSeconds * 1_000;
    return performance.now() > before!.atMs + lifeMs + driftMs(lifeMs);
  }

  async function take(name: string, holder: string) {
    const found = await api.read(name);
    if (found !== undefined && !isFree(found)) return undefined;
    const leaseStart = performance.now();
    const now = new Date().toISOString().replace("Z", "000Z");
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: seconds,
      leaseTransitions: (found?.spec.leaseTransitions ?? 0) + 1,
      acquireTime: now,
      renewTime: now,
    };
    const mine =
      found === undefined
        ? await api.create({ metadata: { name }, spec })
        : await api.replace({ metadata: found.metadata, spec });
    return mine && { leaseStart, mine };
  }

  /** The holder's changes, each based on the version that it wrote last. */
  function leaseOf(name: string, holder: string, first: LeaseObject): Lease {
    let current = first;
    async function change(spec: Partial<LeaseObject["spec"]>): Promise<boolean> {
      const changed =
        (await api.replace({ ...current, spec: { ...current.spec, ...spec } })) ??
        (await retryChange(name, holder, spec));
      if (changed !== undefined) current = changed;
      return changed !== undefined;
    }
    return {
      extend: () => change({ renewTime: new Date().toISOString().replace("Z", "000Z") }),
      release: () => change({ holderIdentity: "" }),
    };
  }

  /** Retries after a conflict: if an answer was lost, the record has changed but still names this holder. */
  async function retryChange(name: string, holder: string, spec: Partial<LeaseObject["spec"]>) {
    const found = await api.read(name);
    if (found?.spec.holderIdentity !== holder) return undefined;
    return api.replace({ ...found, spec: { ...found.spec, ...spec } });
  }

  return completeLock(options, {
    async acquire(key, wait) {
      const name = `holdfast-${createHash("sha256").update(key).digest("hex").slice(0, 40)}`;
      const holder = `${identity}-${(sequence++).toString(36)}`;
      let lastError: LockError | undefined;
      const { leaseStart, mine } = await poll(key, wait, closing.signal, {
        async attempt() {
          try {
            lastError = undefined;
            return await take(name, holder);
          } catch (error) {
            if (!(error instanceof LockUnreachable)) throw error;
            lastError = error;
            return undefined;
          }
        },
        undo: ({ mine: late }) =>
          leaseOf(name, holder, late)
            .release(Number.POSITIVE_INFINITY)
            .catch(() => {}),
        delayMs: () => pollMs * (0.5 + random()),
        late: () => lastError,
      });
      const lease = leaseOf(name, holder, mine);
      return createHold({ lease, key, fence: mine.spec.leaseTransitions, leaseStart, ttlMs, extend });
    },
    async close() {
      closing.abort();
    },
  });
}
