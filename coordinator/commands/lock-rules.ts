/** The rules of holdfast-lock/1 that `holdfast check-lock` tries, each on the program of a user's own lock. */
import { setTimeout as sleep } from "node:timers/promises";
import { medianPingMs, type Program } from "../../worker/own-lock/program.ts";
import { type Claims, type Message, PINGS, PROTOCOL, REPLY_MS } from "../../worker/own-lock/protocol.ts";

/** A rule that the program broke: the reason, for people. */
export class RuleBroken extends Error {
  override name = "RuleBroken";
}

export interface Rule {
  /** What the program must do, as a sentence without its subject. */
  readonly name: string;
  /** The claim without which the rule is not tried. */
  readonly claim?: keyof Claims;
  /** Throws RuleBroken, or the ProgramFailed of the program. May return a remark. */
  readonly attempt: (talk: Talk) => Promise<string | undefined>;
}

/** What a rule uses to talk to the program. Each key and hold is new in every rule. */
export interface Talk {
  readonly program: Program;
  readonly key: (name?: string) => string;
  readonly acquire: (key: string, timeoutMs?: number) => Attempt;
}

export interface Attempt {
  readonly hold: string;
  readonly answer: Promise<Message>;
}

export const TTL_MS = 1_500;
const SHORT_WAIT_MS = 300;
const LONG_WAIT_MS = 5_000;
/** A timer may fire this much early. */
const EARLY_MS = 50;
const FENCES = 5;

export const RULES: readonly Rule[] = [
  {
    name: `answers ${PINGS} pings`,
    async attempt({ program }) {
      return `round trip ${Math.round((await medianPingMs(program)) * 1_000)} µs (median)`;
    },
  },
  {
    name: "gives a lock that is free, and takes it back",
    async attempt(talk) {
      const { hold } = await mustAcquire(talk, talk.key());
      await mustRelease(talk, hold);
    },
  },
  {
    name: "refuses a second holder, and answers `timeout` at the end of the wait",
    claim: "exclusion",
    async attempt(talk) {
      const key = talk.key();
      const first = await mustAcquire(talk, key);
      const askedAt = performance.now();
      const { type } = await talk.acquire(key, SHORT_WAIT_MS).answer;
      const waitedMs = performance.now() - askedAt;
      if (type === "acquired") throw new RuleBroken("two holds of one key at the same time");
      if (type === "error") throw new RuleBroken("it answered `error` where others hold the lock; answer `timeout`");
      if (waitedMs < SHORT_WAIT_MS - EARLY_MS)
        throw new RuleBroken(`it gave up after ${Math.round(waitedMs)} ms; the wait was ${SHORT_WAIT_MS} ms`);
      await mustRelease(talk, first.hold);
    },
  },
  {
    name: "gives a lock to a waiter once it is released",
    async attempt(talk) {
      const key = talk.key();
      const first = await mustAcquire(talk, key);
      const second = talk.acquire(key, LONG_WAIT_MS);
      let early = false;
      const answered = second.answer.then((answer) => {
        early = answer.type === "acquired";
        return answer;
      });
      answered.catch(() => {});
      await sleep(SHORT_WAIT_MS);
      if (early) throw new RuleBroken("the waiter got the lock before it was released");
      const releasedAt = performance.now();
      await mustRelease(talk, first.hold);
      const { type } = await answered;
      if (type !== "acquired") throw new RuleBroken(`the waiter got \`${type}\` in place of \`acquired\``);
      const waitedMs = performance.now() - releasedAt;
      await mustRelease(talk, second.hold);
      return `handed over in ${waitedMs.toFixed(1)} ms`;
    },
  },
  {
    name: "ends a wait that is cancelled, and gives the lock to nobody for it",
    async attempt(talk) {
      const key = talk.key();
      const first = await mustAcquire(talk, key);
      const second = talk.acquire(key, LONG_WAIT_MS);
      second.answer.catch(() => {});
      await sleep(EARLY_MS);
      const { type } = await talk.program.ask({ type: "cancel", hold: second.hold }, REPLY_MS);
      if (type === "acquired") throw new RuleBroken("the cancelled wait got a lock that another one holds");
      if (type !== "cancelled") throw new RuleBroken(`it answered \`${type}\``);
      await mustRelease(talk, first.hold);
      await sleep(SHORT_WAIT_MS);
      const next = await mustAcquire(talk, key);
      await mustRelease(talk, next.hold);
    },
  },
  {
    name: "keeps locks of different keys apart",
    async attempt(talk) {
      const [one, other] = [await mustAcquire(talk, talk.key("a")), await mustAcquire(talk, talk.key("b"))];
      await mustRelease(talk, one.hold);
      await mustRelease(talk, other.hold);
    },
  },
  {
    name: "does not say `released` of a hold that it does not have",
    async attempt(talk) {
      const { hold } = await mustAcquire(talk, talk.key());
      await mustRelease(talk, hold);
      const { type } = await talk.program.ask({ type: "release", hold }, REPLY_MS);
      if (type === "released") throw new RuleBroken("it released the same hold twice; answer `lost`");
    },
  },
  {
    name: "gives tokens that grow with every holder of a key",
    claim: "fencing",
    async attempt(talk) {
      const key = talk.key();
      let last = 0;
      for (let count = 0; count < FENCES; count += 1) {
        const { hold, fence } = await mustAcquire(talk, key);
        if (fence === undefined) throw new RuleBroken("`acquired` has no `fence`");
        if (fence <= last) throw new RuleBroken(`token ${fence} after ${last}`);
        last = fence;
        await mustRelease(talk, hold);
      }
    },
  },
  {
    name: "extends a lease, and ends one that is not extended",
    claim: "lease",
    async attempt(talk) {
      const key = talk.key();
      const { hold } = await mustAcquire(talk, key);
      for (let count = 0; count < 3; count += 1) {
        await sleep(TTL_MS / 2);
        const { type } = await talk.program.ask({ type: "extend", hold, ttl_ms: TTL_MS }, REPLY_MS);
        if (type !== "extended") throw new RuleBroken(`\`extend\` was answered with \`${type}\` before the TTL ended`);
      }
      const { type, hold: next } = await settle(talk.acquire(key, TTL_MS + LONG_WAIT_MS));
      if (type !== "acquired") throw new RuleBroken(`nobody got the lock ${TTL_MS} ms after the last extension`);
      await mustRelease(talk, next);
    },
  },
  {
    name: "answers `held` while it holds the lock",
    claim: "check",
    async attempt(talk) {
      const { hold } = await mustAcquire(talk, talk.key());
      const { type } = await talk.program.ask({ type: "check", hold }, REPLY_MS);
      if (type !== "held") throw new RuleBroken(`it answered \`${type}\``);
      await mustRelease(talk, hold);
    },
  },
  {
    name: "ignores fields that it does not know",
    async attempt({ program }) {
      const request = { type: "ping", from_a_later_version: { of: PROTOCOL } } as const;
      const { type } = await program.ask(request, REPLY_MS);
      if (type !== "pong") throw new RuleBroken(`it answered \`${type}\``);
    },
  },
];

// --- Internal helpers -----------------------------------------------------------------------------------------------

async function settle({ hold, answer }: Attempt): Promise<Message & { readonly hold: string }> {
  return { ...(await answer), hold };
}

async function mustAcquire(
  talk: Talk,
  key: string,
): Promise<{ readonly hold: string; readonly fence?: number | undefined }> {
  const { hold, answer } = talk.acquire(key);
  const message = await answer;
  if (message.type === "acquired") return { hold, fence: message.fence };
  const text = message.type === "error" ? ` (${message.code}: ${message.text})` : "";
  throw new RuleBroken(`nobody holds the lock, and \`acquire\` was answered with \`${message.type}\`${text}`);
}

async function mustRelease({ program }: Talk, hold: string): Promise<void> {
  const { type } = await program.ask({ type: "release", hold }, REPLY_MS);
  if (type !== "released") throw new RuleBroken(`\`release\` was answered with \`${type}\``);
}
