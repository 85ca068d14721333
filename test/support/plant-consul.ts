/** Bugs of the lock in Consul, for plant.ts: each is the product's own lock with one request or one look changed. */
import { lockedSession } from "../../worker/lock-session.ts";
import { type ConsulApi, consulApi } from "../../worker/locks/consul-api.ts";
import { createConsulLock } from "../../worker/locks/consul-lock.ts";
import type { Lock } from "../../worker/locks/lock.ts";
import { CONSUL_KEY_PREFIX, type ConsulConnection, consulAccess, openConsul } from "../../worker/servers/consul.ts";
import { strategies } from "../../worker/strategies/index.ts";

interface Changes {
  readonly api?: (api: ConsulApi, connection: ConsulConnection) => ConsulApi;
  readonly lock?: (lock: Lock) => Lock;
}

function plant({ api: changeApi = (api) => api, lock: changeLock = (lock) => lock }: Changes) {
  strategies.consul = {
    async open(resources) {
      const { spec, lockServices, releaseFailed } = resources;
      const access = consulAccess({ ...lockServices, CONSUL_URL: lockServices.CONSUL_URL! });
      const connection = openConsul(access, access.token);
      const options = { ttlMs: spec.lockTtlMs, extend: spec.extend, onReleaseFailed: releaseFailed };
      const lock = await createConsulLock(changeApi(consulApi(connection), connection), options);
      return lockedSession(changeLock(lock), resources);
    },
  };
}

export const consulBugs: Record<string, () => void> = {
  /** The late holder deletes the key of the next one. */
  "consul-release-without-owner": () =>
    plant({
      api: (api, connection) => ({
        ...api,
        async unlock(key) {
          await connection.send({ method: "DELETE", path: `kv/${CONSUL_KEY_PREFIX}${key}` });
          return true;
        },
      }),
    }),
  /** The hold never learns that its session has ended, so the look before the write sees nothing. */
  "consul-lost-session-unnoticed": () =>
    plant({
      lock: (lock) => {
        const signal = new AbortController().signal;
        const using: Lock["using"] = (key, options, body) =>
          lock.using(key, options, (held) => body({ ...held, signal }));
        return { ...lock, using };
      },
    }),
  /** The LockIndex in place of the index of the acquisition: it begins again at 1 when the key has been deleted. */
  "consul-token-does-not-grow": () =>
    plant({
      api: (api) => ({
        ...api,
        async lock(key, session) {
          const answer = await api.lock(key, session);
          return typeof answer === "number" ? 1 : answer;
        },
      }),
    }),
};
