import { lockedSession } from "../lock-session.ts";
import { etcdApi } from "../locks/etcd-api.ts";
import { createEtcdLock } from "../locks/etcd-lock.ts";
import { etcdAccess, openEtcd } from "../servers/etcd.ts";
import { type Strategy, Unavailable } from "../strategy.ts";

/**
 * A lock in etcd, handed over in the order of the requests, and kept as long as the lease of its holder. It is a lease: a
 * holder that is stalled for longer than its TTL loses it, and then only a guard in the write stops it.
 */
export const etcd: Strategy = {
  async open(resources) {
    const { spec, lockServices, releaseFailed } = resources;
    const { ETCD_URL } = lockServices;
    if (ETCD_URL === undefined) throw new Unavailable("needs etcd: set ETCD_URL");
    const access = etcdAccess({ ...lockServices, ETCD_URL });
    const api = etcdApi(openEtcd(access, access.login));
    const options = { ttlMs: spec.lockTtlMs, extend: spec.extend, onReleaseFailed: releaseFailed };
    const lock = await createEtcdLock(api, options).catch((error) => {
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
