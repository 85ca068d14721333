import { randomBytes } from "node:crypto";
import { locksPath, type ZooKeeperAccess, type ZooKeeperLogin } from "../../worker/servers/zookeeper.ts";
import type { ZooKeeperSession } from "../../worker/servers/zookeeper-session.ts";
import { type AclEntry, acl, buffer, int, isCode, long, string } from "../../worker/servers/zookeeper-wire.ts";
import type { AclProbe } from "../judge/report-data.ts";
import { useZooKeeper } from "./zookeeper-use.ts";

/**
 * Tries what must be refused: other nodes and other people's ACLs as the user of the workers; the locks as somebody who has
 * not logged in or has the wrong password; and the session of another client. An attempt that is allowed changes nothing
 * that lasts. Without a user in ZOOKEEPER_URL everybody may do everything, and nothing is tried. Throws ServerError.
 */
export async function probeZooKeeper(access: ZooKeeperAccess): Promise<AclProbe[]> {
  const { login } = access;
  if (login === undefined) return [];
  const stranger: ZooKeeperLogin = { user: login.user, password: { read: async () => WRONG_PASSWORD } };
  const probes: AclProbe[] = [];
  const tryAs = async (user: string, as: ZooKeeperLogin | undefined, attempts: readonly Attempt[]) =>
    useZooKeeper(access, as, async (session) => {
      for (const [attempt, make] of attempts)
        probes.push({ ...PROBE, user, attempt, ...(await outcomeOf(make(session))) });
    });
  await tryAs(login.user, login, attemptsOfUser(access));
  await tryAs("nobody", undefined, attemptsOfOthers(access));
  await tryAs(`${login.user} with a wrong password`, stranger, attemptsOfOthers(access));
  probes.push(await probeForeignSession(access, login));
  return probes;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Attempt = readonly [attempt: string, make: (session: ZooKeeperSession) => Promise<unknown>];

const PROBE = { service: "zookeeper" } as const;
const WRONG_PASSWORD = "not-the-password";
const ANYONE: readonly AclEntry[] = [{ permissions: ["read"], scheme: "world", id: "anyone" }];
/** No node has this version, so that a request that is allowed still changes nothing. */
const NO_VERSION = 2 ** 31 - 1;

/** The server checks the rights before it compares versions, so BadVersion means that it allows the request. */
const attemptsOfUser = (access: ZooKeeperAccess): readonly Attempt[] => [
  [
    `create ${access.root}/other`,
    (session) => createAndDelete(session, `${access.root}/other-${randomBytes(4).toString("hex")}`),
  ],
  ...[access.root, locksPath(access)].flatMap((path): Attempt[] => [
    [`setACL ${path}`, (session) => session.request("setAcl", [string(path), acl(ANYONE), int(NO_VERSION)], none)],
    [
      `setData ${path}`,
      (session) => session.request("setData", [string(path), buffer(Buffer.of()), int(NO_VERSION)], none),
    ],
  ]),
  // The right to delete the root is that of its own parent, which other applications use.
  [
    `delete ${locksPath(access)}`,
    (session) => session.request("delete", [string(locksPath(access)), int(NO_VERSION)], none),
  ],
  [
    "setData /zookeeper/config",
    (session) => session.request("setData", [string("/zookeeper/config"), buffer(Buffer.of()), int(NO_VERSION)], none),
  ],
  [
    "reconfig",
    (session) => session.request("reconfig", [string(""), string(""), string(""), long(BigInt(NO_VERSION))], none),
  ],
];

const attemptsOfOthers = (access: ZooKeeperAccess): readonly Attempt[] => [
  [`getChildren ${locksPath(access)}`, (session) => session.children(locksPath(access))],
  [`create ${locksPath(access)}/probe`, (session) => createAndDelete(session, `${locksPath(access)}/probe`)],
];

const none = () => undefined;

async function createAndDelete(session: ZooKeeperSession, path: string) {
  const { value } = await session.create(path, "ephemeral-sequential", ANYONE);
  await session.delete(value.path).catch(() => {});
}

async function outcomeOf(made: Promise<unknown>): Promise<Pick<AclProbe, "outcome" | "answer">> {
  try {
    await made;
    return { outcome: "allowed", answer: "OK" };
  } catch (error) {
    if (isCode(error, "NoAuth", "ReconfigDisabled")) return { outcome: "refused", answer: error.message };
    if (isCode(error, "BadVersion", "NotEmpty")) return { outcome: "allowed", answer: error.message };
    if (isCode(error, "ConnectionLoss")) throw error;
    return { outcome: "unanswered", answer: error instanceof Error ? error.message : String(error) };
  }
}

/** The number of a session is no secret; its password is. */
async function probeForeignSession(access: ZooKeeperAccess, login: ZooKeeperLogin): Promise<AclProbe> {
  const probe = { ...PROBE, user: login.user, attempt: "take over the session of another client" };
  return useZooKeeper(access, login, async (victim) => {
    const identity = { id: victim.id, password: randomBytes(16), timeoutMs: victim.timeoutMs };
    const result = await useZooKeeper(access, login, async () => {}, victim.timeoutMs, identity).then(
      () => ({ outcome: "allowed", answer: "the session was taken over" }) as const,
      (error: Error) =>
        /SessionExpired/.test(error.message)
          ? ({ outcome: "refused", answer: "SessionExpired" } as const)
          : ({ outcome: "unanswered", answer: error.message } as const),
    );
    return { ...probe, ...result };
  });
}
