/** Bugs of the lock in etcd, for plant.ts: each is the product's own lock with one request or one look changed. */
import { lockedSession } from "../../worker/lock-session.ts";
import { type EtcdApi, etcdApi } from "../../worker/locks/etcd-api.ts";
import { createEtcdLock } from "../../worker/locks/etcd-lock.ts";
import type { Lock } from "../../worker/locks/lock.ts";
import { type EtcdConnection, etcdAccess, openEtcd } from "../../worker/servers/etcd.ts";
import { strategies } from "../../worker/strategies/index.ts";

interface Changes {
  readonly api?: (api: EtcdApi, connection: EtcdConnection) => EtcdApi;
  readonly lock?: (lock: Lock) => Lock;
}

function plant({ api: changeApi = (api) => api, lock: changeLock = (lock) => lock }: Changes) {
  strategies.etcd = {
    async open(resources) {
      const { spec, lockServices, releaseFailed } = resources;
      const access = etcdAccess({ ...lockServices, ETCD_URL: lockServices.ETCD_URL! });
      const connection = openEtcd(access, access.login);
      const options = { ttlMs: spec.lockTtlMs, extend: spec.extend, onReleaseFailed: releaseFailed };
      const lock = await createEtcdLock(changeApi(etcdApi(connection), connection), options);
      return lockedSession(changeLock(lock), resources);
    },
  };
}

const encode = (text: string) => Buffer.from(text).toString("base64");

export const etcdBugs: Record<string, () => void> = {
  /** The late holder deletes the first key of the queue, which is that of the next one. */
  "etcd-release-without-owner": () =>
    plant({
      api: (api, connection) => ({
        ...api,
        async leave(key) {
          const queue = key.slice(0, key.lastIndexOf("/"));
          const range = { key: encode(`${queue}/`), range_end: encode(`${queue}0`) };
          const first = { ...range, sort_target: "CREATE", sort_order: "ASCEND", limit: 1, keys_only: true };
          const { text } = await connection.send("kv/range", first);
          const { kvs = [] } = JSON.parse(text) as { kvs?: { key: string }[] };
          for (const { key } of kvs) await connection.send("kv/deleterange", { key });
          return { left: true, repeated: false };
        },
      }),
    }),
  /** The hold never learns that its lease has ended, so the look before the write sees nothing. */
  "etcd-lost-lease-unnoticed": () =>
    plant({
      lock: (lock) => {
        const signal = new AbortController().signal;
        const using: Lock["using"] = (key, options, body) =>
          lock.using(key, options, (held) => body({ ...held, signal }));
        return { ...lock, using };
      },
    }),
  /** The version of the key in place of its creation revision: it is 1 for each new key. */
  "etcd-token-does-not-grow": () =>
    plant({
      lock: (lock) => {
        const using: Lock["using"] = (key, options, body) =>
          lock.using(key, options, (held) => body({ ...held, signal: held.signal, fence: 1 }));
        return { ...lock, using };
      },
    }),
};
