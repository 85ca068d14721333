/** The coordinator's side of etcd: its version, the user and the role of the workers, and what etcd refuses them. */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import {
  ETCD_KEY_PREFIX,
  type EtcdAccess,
  type EtcdLogin,
  type EtcdVariables,
  etcdAccess,
} from "../../worker/servers/etcd.ts";
import { ServerError } from "../errors.ts";
import { connect, type EtcdClient, LOCKS } from "./etcd-client.ts";
import { probeEtcd } from "./etcd-probes.ts";
import type { LockServiceClient } from "./lock-service-client.ts";

/** Throws an Error in one line that names the variable. Opens no connection yet. */
export function createEtcdClient(variables: EtcdVariables): LockServiceClient {
  const access = etcdAccess(variables);
  const worker = connect(access, access.login);
  const admin = access.admin === undefined ? undefined : connect(access, access.admin);

  return {
    async check() {
      // A login needs the majority of the members; this request needs no right.
      const found = await (admin ?? worker).ask("maintenance/status", {}, admin && NO_AUTH);
      const { version } = Status.parse(
        found ?? (await useAsAnybody(access, ({ ask }) => ask("maintenance/status", {}))),
      );
      return `etcd ${version}`;
    },
    async prepare() {
      if (admin !== undefined && (await admin.ask("maintenance/status", {}, NO_AUTH)) === undefined)
        await enableEtcdAuth(variables);
      if (admin !== undefined && access.login !== undefined) await ensureUser(admin, worker, access.login);
      // A role may allow one of the two; the key has never been there.
      const probe = Buffer.from(`${ETCD_KEY_PREFIX}probe/${randomBytes(8).toString("hex")}`).toString("base64");
      await worker.ask("kv/range", { ...LOCKS, limit: 1, keys_only: true });
      await worker.ask("kv/deleterange", { key: probe });
    },
    probes: () => probeEtcd(access, worker, admin),
    async shortestTtlMs() {
      const { ID, TTL } = Granted.parse(await worker.ask("lease/grant", { TTL: 1 }));
      await worker.ask("lease/revoke", { ID });
      return Number(TTL) * 1_000;
    },
    close() {
      worker.close();
      admin?.close();
    },
  };
}

/**
 * Gives a new server the user root and turns authentication on. Throws ServerError; also where the server has keys or other
 * users, because their clients may not log in.
 */
export async function enableEtcdAuth(variables: EtcdVariables): Promise<void> {
  const access = etcdAccess(variables);
  const { user, password } = access.admin!;
  await useAsAnybody(access, async (anybody) => {
    const all = { key: "AA==", range_end: "AA==", limit: 1, keys_only: true };
    const { kvs = [] } = Keys.parse(await anybody.ask("kv/range", all));
    const { users = [] } = Users.parse(await anybody.ask("auth/user/list", {}));
    if (kvs.length > 0 || users.some((name) => name !== user))
      throw new ServerError(
        `etcd at ${anybody.address}`,
        "authentication is not enabled, and the server is in use",
        "enable it (etcdctl auth enable), or leave the user out of ETCD_URL",
        { final: true },
      );
    await anybody.ask("auth/user/add", { name: user, password: await password.read() }, EXISTS);
    await anybody.ask("auth/role/add", { name: user }, EXISTS);
    await anybody.ask("auth/user/grant", { user, role: user });
    await anybody.ask("auth/enable", {});
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const EXISTS = /name already exists/;
const NO_AUTH = /authentication is not enabled/;
const ROLE = "holdfast-locks";

const Status = z.object({ version: z.string() });
const Keys = z.object({ kvs: z.array(z.unknown()).optional() });
const Users = z.object({ users: z.array(z.string()).optional() });
const Granted = z.object({ ID: z.string(), TTL: z.string() });

async function useAsAnybody<T>(access: EtcdAccess, use: (anybody: EtcdClient) => Promise<T>): Promise<T> {
  const anybody = connect(access, undefined);
  try {
    return await use(anybody);
  } finally {
    anybody.close();
  }
}

async function ensureUser(admin: EtcdClient, worker: EtcdClient, { user, password }: EtcdLogin) {
  await admin.ask("auth/role/add", { name: ROLE }, EXISTS);
  await admin.ask("auth/role/grant", { name: ROLE, perm: { permType: "READWRITE", ...LOCKS } });
  const login = { name: user, password: await password.read() };
  const added = await admin.ask("auth/user/add", login, EXISTS);
  await admin.ask("auth/user/grant", { user, role: ROLE });
  if (added !== undefined) return;
  // A new password ends the logins of the workers of another run, so an old one that is right stays.
  const { status } = await worker.send("maintenance/status", {});
  if (status !== 200) await admin.ask("auth/user/changepw", login);
}
