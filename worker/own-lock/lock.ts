/** A user's own lock as a {@link Lock}: each acquisition is a conversation with its program. */
import { createHold } from "../locks/hold.ts";
import {
  abortedWait,
  completeLock,
  type Held,
  type Lock,
  LockDenied,
  type LockError,
  LockLost,
  type LockOptions,
  LockUnreachable,
  timedOut,
} from "../locks/lock.ts";
import type { Program } from "./program.ts";
import { type Claims, type ErrorCode, GRACE_MS, type Message, REPLY_MS } from "./protocol.ts";

export interface ProgramLockOptions extends LockOptions {
  /** The name of the lock in messages of errors. */
  readonly name: string;
  readonly claims: Claims;
  /** TTL of a lease, milliseconds; not used by a lock that claims no lease. */
  readonly ttlMs: number;
  /** Whether a lease is extended. */
  readonly extend: boolean;
  /** Begins the name of each hold. */
  readonly prefix: string;
}

export interface ProgramLock extends Lock {
  /** To be called with each loss that the program tells by itself. */
  lost(notice: { readonly hold: string; readonly text: string }): void;
  /** What was seen so far. */
  counts(): { readonly holds: number; readonly tokensGrown: number; readonly lossesTold: number };
}

/** The errors of the program: see {@link lockErrorOf}. A program that fails makes all promises reject with ProgramFailed. */
export function createProgramLock(program: Program, options: ProgramLockOptions): ProgramLock {
  const { name, claims, ttlMs, extend, prefix } = options;
  const newest = new Map<string, number>();
  /** What ends each hold that is not known to be lost. */
  const losses = new Map<string, AbortController>();
  const counts = { holds: 0, tokensGrown: 0, lossesTold: 0 };
  let asked = 0;
  program.failed.addEventListener("abort", () => {
    for (const loss of losses.values()) loss.abort(program.failed.reason);
  });

  /** Returns whether the program still had it. */
  async function ask(type: "extend" | "release" | "check", hold: string): Promise<boolean> {
    const request = type === "extend" ? { type, hold, ttl_ms: ttlMs } : { type, hold };
    const answer = await program.ask(request, REPLY_MS);
    if (answer.type === "error") throw lockErrorOf(name, answer);
    if (answer.type !== "lost") return true;
    tellLoss(hold, answer.text);
    return false;
  }

  /** Counts each loss once, however often it is told. */
  function tellLoss(hold: string, text: string) {
    const loss = losses.get(hold);
    if (loss === undefined) return;
    losses.delete(hold);
    counts.lossesTold += 1;
    loss.abort(lostLock(hold, text));
  }

  /** The token, which a lock that does not claim to give any may fill as it likes. */
  function tokenOf(key: string, { fence = 0 }: { readonly fence?: number | undefined }): number {
    counts.holds += 1;
    if (!claims.fencing) return 0;
    if (fence > (newest.get(key) ?? 0)) counts.tokensGrown += 1;
    newest.set(key, Math.max(fence, newest.get(key) ?? 0));
    return fence;
  }

  function holdOf(key: string, hold: string, fence: number): Held {
    const loss = new AbortController();
    losses.set(hold, loss);
    const release = () => ask("release", hold).finally(() => losses.delete(hold));
    const check = claims.check ? { check: () => mustHave(hold, ask("check", hold)) } : {};
    if (!claims.lease) {
      const plain = { key, fence, signal: loss.signal, extend: async () => {} };
      return { ...plain, ...check, release: () => mustHave(hold, release()) };
    }
    const lease = { extend: () => ask("extend", hold), release };
    const held = createHold({ lease, key, fence, leaseStart: performance.now(), ttlMs, extend });
    return {
      key,
      fence,
      get signal() {
        return AbortSignal.any([held.signal, loss.signal]);
      },
      ...check,
      extend: held.extend,
      release: held.release,
    };
  }

  const lock = completeLock(options, {
    async acquire(key, { signal, timeoutMs }) {
      asked += 1;
      const hold = `${prefix}-${asked}`;
      const answered = program.ask({ type: "acquire", key, hold, timeout_ms: timeoutMs }, timeoutMs + GRACE_MS);
      const cancel = () => void program.ask({ type: "cancel", hold }, REPLY_MS).catch(() => {});
      signal?.addEventListener("abort", cancel, { once: true });
      const answer = await answered.finally(() => signal?.removeEventListener("abort", cancel));
      if (answer.type === "acquired") {
        const held = holdOf(key, hold, tokenOf(key, answer));
        if (!signal?.aborted) return held;
        await held.release().catch(() => {});
      }
      if (signal?.aborted) throw abortedWait(key, signal);
      throw answer.type === "error" ? lockErrorOf(name, answer) : timedOut(key, timeoutMs);
    },
    async close() {},
  });
  return { ...lock, lost: ({ hold, text }) => tellLoss(hold, text), counts: () => counts };
}

type ProgramError = Extract<Message, { type: "error" }>;

/** What an error of the program means: those with which nothing more can be done end the run. */
export function lockErrorOf(name: string, { code, text }: Pick<ProgramError, "code" | "text">): LockError {
  const message = `the program of lock "${name}" answered ${code}${text === "" ? "" : `: ${text}`}`;
  return FINAL.includes(code) ? new LockDenied(message) : new LockUnreachable(message);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const FINAL: readonly ErrorCode[] = ["denied", "config", "unsupported"];

const lostLock = (hold: string, text: string) =>
  new LockLost(`hold "${hold}" was lost: ${text === "" ? "its program gives no reason" : text}`);

async function mustHave(hold: string, asked: Promise<boolean>): Promise<void> {
  if (!(await asked)) throw lostLock(hold, "its program no longer has it");
}
