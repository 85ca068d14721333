import { lockedSession } from "../lock-session.ts";
import { consulApi } from "../locks/consul-api.ts";
import { createConsulLock } from "../locks/consul-lock.ts";
import { consulAccess, openConsul } from "../servers/consul.ts";
import { type Strategy, Unavailable } from "../strategy.ts";

/**
 * A lock in Consul: a session acquires a key, and waiters learn from a blocking query that it is free. It is a lease: a
 * holder that is stalled until its session has ended and the lock-delay has passed loses it, and then only a guard in the
 * write stops it.
 */
export const consul: Strategy = {
  async open(resources) {
    const { spec, lockServices, releaseFailed } = resources;
    const { CONSUL_URL } = lockServices;
    if (CONSUL_URL === undefined) throw new Unavailable("needs Consul: set CONSUL_URL");
    const access = consulAccess({ ...lockServices, CONSUL_URL });
    const api = consulApi(openConsul(access, access.token));
    const options = { ttlMs: spec.lockTtlMs, extend: spec.extend, onReleaseFailed: releaseFailed };
    const lock = await createConsulLock(api, options).catch((error) => {
      api.close();
      throw error;
    });
    const session = lockedSession(lock, resources);
    return {
      mutate: session.mutate,
      async close() {
        await session.close();
        api.close();
      },
    };
  },
};
