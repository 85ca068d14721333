import type { ZooKeeperSession } from "../servers/zookeeper-session.ts";
import type { AclEntry } from "../servers/zookeeper-wire.ts";
import { codeOf, type Link } from "./zookeeper-link.ts";

export interface PlaceOptions {
  readonly link: Link;
  /** The node of the lock. */
  readonly parent: string;
  /** Unique; the name of the place begins with it, so that it is found again after an answer was lost. */
  readonly id: string;
  readonly loggedIn: boolean;
}

export type Turn =
  /** Nobody is before it: the server was asked at `askedAt`, by `performance.now()`. */
  | { readonly state: "first"; readonly askedAt: number }
  | { readonly state: "behind"; readonly before: string }
  | { readonly state: "gone" };

/**
 * One place in the queue of a lock: an ephemeral sequential node. It is gone when its session ends.
 *
 * Methods throw the ZooKeeperError of a request. Those of a lost connection may be repeated.
 */
export interface Place {
  /** The session that has the place, if it has been taken. */
  readonly session: ZooKeeperSession | undefined;
  /** The transaction that created the node: it grows with each place. */
  readonly fence: number;
  /** Takes a place in this session, unless it is already taken there. */
  take(session: ZooKeeperSession): Promise<void>;
  /** Finds out who is before this place; `gone` if somebody else has deleted its node. */
  look(): Promise<Turn>;
  /** Whether the place is still there; asking also restarts the timeout of the session. */
  isThere(): Promise<boolean>;
  /** Leaves the place, whatever it takes. Resolves to whether it was there. */
  leave(doing: string): Promise<boolean>;
}

export function createPlace({ link, parent, id, loggedIn }: PlaceOptions): Place {
  let session: ZooKeeperSession | undefined;
  let path: string | undefined;
  let fence = 0;
  let taking: Promise<void> | undefined;

  async function take(current: ZooKeeperSession) {
    if (session === current && path !== undefined) return;
    // In the same session, an earlier request may have created the node although its answer was lost.
    const mayBeThere = session === current;
    session = current;
    path = undefined;
    if (mayBeThere && (await find())) return;
    await create(current);
  }

  async function create(current: ZooKeeperSession) {
    for (;;) {
      try {
        const { value } = await current.create(`${parent}/${id}-`, "ephemeral-sequential", entry(["read"]));
        path = value.path;
        fence = Number(value.stat.czxid);
        return;
      } catch (error) {
        if (codeOf(error) !== "NoNode") throw error;
      }
      await current.create(parent, "container", entry(["read", "create", "delete"])).catch((error) => {
        if (codeOf(error) !== "NodeExists") throw error;
      });
    }
  }

  async function find(): Promise<boolean> {
    const { value: names } = await session!.children(parent);
    const name = names.find((each) => each.startsWith(`${id}-`));
    if (name === undefined) return false;
    const { value: stat } = await session!.exists(`${parent}/${name}`);
    if (stat === undefined) return false;
    path = `${parent}/${name}`;
    fence = Number(stat.czxid);
    return true;
  }

  const entry = (permissions: AclEntry["permissions"]): AclEntry[] => [
    { permissions, ...(loggedIn ? { scheme: "auth", id: "" } : { scheme: "world", id: "anyone" }) },
  ];

  return {
    get session() {
      return session;
    },
    get fence() {
      return fence;
    },
    take(current) {
      taking = take(current);
      return taking;
    },
    async look() {
      const { value: names, sentAt } = await session!.children(parent);
      const own = numberOf(path!);
      if (!names.includes(path!.slice(parent.length + 1))) {
        path = undefined;
        return { state: "gone" };
      }
      const [last] = names.filter((name) => numberOf(name) < own).sort((a, b) => numberOf(b) - numberOf(a));
      if (last === undefined) return { state: "first", askedAt: sentAt };
      return { state: "behind", before: `${parent}/${last}` };
    },
    async isThere() {
      const { value: stat } = await session!.exists(path!);
      return stat !== undefined && Number(stat.czxid) === fence;
    },
    async leave(doing) {
      await taking?.catch(() => {});
      if (session === undefined) return false;
      let asked = false;
      for (;;) {
        try {
          await session.connected();
          if (path === undefined && !(await find())) return asked;
          await session.delete(path!);
          return true;
        } catch (error) {
          if (codeOf(error) === "NoNode") return asked;
          if (session.ended !== undefined) return false;
          const refused = link.refusal(error, doing);
          if (refused !== undefined) throw refused;
          asked ||= path !== undefined;
        }
      }
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** ZooKeeper appends a number of 10 digits. */
const numberOf = (name: string) => Number(name.slice(-10));
