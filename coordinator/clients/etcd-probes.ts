import { randomBytes } from "node:crypto";
import { ETCD_KEY_PREFIX, type EtcdAccess } from "../../worker/servers/etcd.ts";
import { etcdMessage } from "../../worker/servers/etcd-errors.ts";
import type { AclProbe } from "../judge/report-data.ts";
import { oneLine } from "../text/format.ts";
import { connect, type EtcdClient, LOCKS, outcomeOf } from "./etcd-client.ts";

/**
 * Tries what must be refused: the user of the workers on other keys, on users and members and on the lease of another
 * client; and the locks without a login and with a wrong password. An attempt that is allowed changes nothing that lasts.
 * Without a user in ETCD_URL everybody may do everything, and nothing is tried. Throws ServerError.
 */
export async function probeEtcd(
  access: EtcdAccess,
  worker: EtcdClient,
  admin: EtcdClient | undefined,
): Promise<AclProbe[]> {
  const { login } = access;
  if (login === undefined) return [];
  const nobody = connect(access, undefined);
  const stranger = connect(access, { user: login.user, password: { read: async () => WRONG_PASSWORD } });
  try {
    const probes = [
      ...OF_USER.map((attempt) => tryOne(worker, login.user, attempt)),
      ...OF_OTHERS.map((attempt) => tryOne(nobody, "nobody", attempt)),
      ...OF_OTHERS.map((attempt) => tryOne(stranger, `${login.user} with a wrong password`, attempt)),
      ...(admin === undefined ? [] : [probeLease(worker, admin, login.user)]),
    ];
    return await Promise.all(probes);
  } finally {
    nobody.close();
    stranger.close();
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Attempt {
  readonly attempt: string;
  readonly path: string;
  readonly body: object;
  /** Whether the answer goes on, so that its first line must do. */
  readonly streams?: boolean;
}

const WRONG_PASSWORD = "not-the-password";
const encode = (text: string) => Buffer.from(text).toString("base64");
/** A key outside the locks. */
const FOREIGN = "holdfast-probe";
/** A name and an ID that nothing has: a request that is allowed then fails, and changes nothing. */
const NOBODY = "holdfast-nobody";
const NO_ID = "1";
const WATCH = { create_request: { key: encode(FOREIGN) } };
const PUT = { key: encode(FOREIGN), lease: NO_ID };

const OF_USER: readonly Attempt[] = [
  { attempt: `range ${FOREIGN}`, path: "kv/range", body: { key: encode(FOREIGN) } },
  { attempt: "range of all keys", path: "kv/range", body: { key: "AA==", range_end: "AA==", limit: 1 } },
  { attempt: `put ${FOREIGN}`, path: "kv/put", body: PUT },
  { attempt: `txn with put ${FOREIGN}`, path: "kv/txn", body: { success: [{ request_put: PUT }] } },
  { attempt: `deleterange ${FOREIGN}`, path: "kv/deleterange", body: { key: encode(FOREIGN) } },
  { attempt: `watch ${FOREIGN}`, path: "watch", body: WATCH, streams: true },
  { attempt: "user list", path: "auth/user/list", body: {} },
  { attempt: "user get root", path: "auth/user/get", body: { name: "root" } },
  { attempt: "user changepw", path: "auth/user/changepw", body: { name: NOBODY, password: NOBODY } },
  { attempt: "user grant", path: "auth/user/grant", body: { user: NOBODY, role: "root" } },
  { attempt: "role list", path: "auth/role/list", body: {} },
  { attempt: "role grant", path: "auth/role/grant", body: { name: NOBODY, perm: { key: "AA==" } } },
  { attempt: "member remove", path: "cluster/member/remove", body: { ID: NO_ID } },
  { attempt: "hash of the database", path: "maintenance/hash", body: {} },
  { attempt: "snapshot of the database", path: "maintenance/snapshot", body: {}, streams: true },
];

const OF_OTHERS: readonly Attempt[] = [
  { attempt: `range ${ETCD_KEY_PREFIX}`, path: "kv/range", body: { ...LOCKS, limit: 1 } },
  {
    attempt: `put ${ETCD_KEY_PREFIX}probe`,
    path: "kv/put",
    body: { key: encode(`${ETCD_KEY_PREFIX}probe`), lease: NO_ID },
  },
];

const PROBE = { service: "etcd" } as const;

async function tryOne(client: EtcdClient, user: string, { attempt, path, body, streams }: Attempt): Promise<AclProbe> {
  let first = "";
  const onLine = (line: string) => {
    first = line;
    return true;
  };
  const answer = await client.send(path, body, streams ? { onLine } : {});
  const text = first || answer.text;
  const message = answer.status === 200 && first === "" ? "OK" : oneLine(etcdMessage(answer.status, text));
  return { ...PROBE, user, attempt, outcome: outcomeOf({ ...answer, text }), answer: message };
}

/** A lease with a key that the user may not write. */
async function probeLease(worker: EtcdClient, admin: EtcdClient, user: string): Promise<AclProbe> {
  const lease = { ID: String(2 ** 40 + randomBytes(5).readUIntBE(0, 5)) };
  await admin.ask("lease/grant", { ...lease, TTL: 60 });
  try {
    await admin.ask("kv/put", { key: encode(`${FOREIGN}-${lease.ID}`), lease: lease.ID });
    const revoke = { attempt: "revoke the lease of another client", path: "lease/revoke", body: lease };
    return await tryOne(worker, user, revoke);
  } finally {
    await admin.ask("lease/revoke", lease, /lease not found/);
  }
}
