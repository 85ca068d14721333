/** ZooKeeper as the coordinator sees it: its version, the nodes that the workers need, and what their user may not do. */
import { createHash } from "node:crypto";
import {
  locksPath,
  openZooKeeperSocket,
  type ZooKeeperAccess,
  type ZooKeeperLogin,
  type ZooKeeperVariables,
  zooKeeperAccess,
} from "../../worker/servers/zookeeper.ts";
import type { ZooKeeperSession } from "../../worker/servers/zookeeper-session.ts";
import { type AclEntry, acl, int, isCode, string } from "../../worker/servers/zookeeper-wire.ts";
import type { LockServiceClient } from "./lock-service-client.ts";
import { probeZooKeeper } from "./zookeeper-probes.ts";
import { useZooKeeper } from "./zookeeper-use.ts";

/** Opens no connection yet. */
export function createZooKeeperClient(variables: ZooKeeperVariables): LockServiceClient {
  const access = zooKeeperAccess(variables);
  return {
    async check() {
      // A session exists only where the ensemble has a majority.
      await useZooKeeper(access, access.login, async () => {});
      return readVersion(access);
    },
    prepare: () => prepare(access),
    probes: () => probeZooKeeper(access),
    shortestTtlMs: () => useZooKeeper(access, access.login, async ({ timeoutMs }) => timeoutMs, 1),
    close() {},
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const ANSWER_MS = 3_000;

/** The nodes, with no more rights for the user of the workers than a lock needs. */
async function prepare(access: ZooKeeperAccess): Promise<void> {
  const { login, admin, root } = access;
  const [who] =
    login === undefined
      ? [{ scheme: "world", id: "anyone" }]
      : [{ scheme: "digest", id: `${login.user}:${await digest(login)}` }];
  const may = (...permissions: AclEntry["permissions"]): AclEntry[] => [{ permissions, ...who! }];
  const locks = locksPath(access);
  const names = root.split("/").slice(1);
  await useZooKeeper(access, admin ?? login, async (session) => {
    if (admin === undefined && (await session.exists(locks)).value !== undefined) return;
    let isNew = false;
    // The administrator needs no rights. The user of the workers gives up its own below.
    const onParents = admin === undefined ? may("read", "create", "admin") : may("read");
    for (const [i] of names.entries()) isNew = await ensure(session, `/${names.slice(0, i + 1).join("/")}`, onParents);
    await ensure(session, locks, may("read", "create"));
    // Once the node of the locks is there, nobody needs another one beside it. The ACL of an existing node is corrected
    // as well, for a user with a new password.
    if (admin !== undefined) await setAcl(session, locks, may("read", "create"));
    if (admin !== undefined || isNew) await setAcl(session, root, may("read"));
  });
}

/** Creates a node unless it is there. Resolves to whether it did. */
async function ensure(session: ZooKeeperSession, path: string, entries: AclEntry[]): Promise<boolean> {
  if ((await session.exists(path)).value !== undefined) return false;
  return session.create(path, "persistent", entries).then(
    () => true,
    (error) => {
      if (isCode(error, "NodeExists")) return false;
      throw error;
    },
  );
}

const setAcl = (session: ZooKeeperSession, path: string, entries: AclEntry[]) =>
  session.request("setAcl", [string(path), acl(entries), int(ANY_VERSION)], () => undefined);
const ANY_VERSION = -1;

/** As DigestAuthenticationProvider of ZooKeeper makes it by default. */
const digest = async ({ user, password }: ZooKeeperLogin) =>
  createHash("sha1")
    .update(`${user}:${await password.read()}`)
    .digest("base64");

/** The version of the first server that tells it: `srvr` is among the commands that ZooKeeper answers by default. */
async function readVersion(access: ZooKeeperAccess): Promise<string> {
  for (const server of access.servers) {
    const text = await new Promise<string>((resolve) => {
      let answer = "";
      const socket = openZooKeeperSocket(server, access.tls, () => socket.write("srvr"));
      socket.setTimeout(ANSWER_MS, () => socket.destroy());
      socket.on("data", (bytes) => {
        answer += bytes;
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(answer));
    });
    const version = /version: (\d[\w.]*)/.exec(text)?.[1];
    if (version !== undefined) return `ZooKeeper ${version}`;
  }
  return "ZooKeeper of unknown version (4lw.commands.whitelist lacks srvr)";
}
