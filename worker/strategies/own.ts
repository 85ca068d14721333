import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { OwnLock, WorkerSpec } from "../contract.ts";
import { lockedSession } from "../lock-session.ts";
import { programEnvironment } from "../own-lock/environment.ts";
import { createProgramLock, lockErrorOf, type ProgramLock } from "../own-lock/lock.ts";
import { medianPingMs, type Program, startProgram } from "../own-lock/program.ts";
import { type Message, PROTOCOL, START_MS } from "../own-lock/protocol.ts";
import { type Strategy, Unavailable } from "../strategy.ts";

/**
 * A lock of the user's own: a program, started by each worker, that speaks holdfast-lock/1. It is not restarted when it
 * fails, which would hide the locks that it has lost: the worker ends with the reason.
 */
export const own: Strategy = {
  async open(resources) {
    const { spec, worker, lockFolder, releaseFailed } = resources;
    const { ownLock } = spec;
    if (ownLock === undefined) throw new Unavailable("needs --lock");
    // The program finds the folder in HOLDFAST_LOCK_FOLDER.
    if (lockFolder !== undefined) await mkdir(lockFolder, { recursive: true });
    let lock: ProgramLock | undefined;
    const program = startProgram({
      command: ownLock.command,
      env: programEnvironment(process.env, { name: ownLock.name, redisUrl: resources.guestRedisUrl() }),
      onLost: (notice) => lock?.lost(notice),
    });
    // In the log of the worker, of which the report has the last lines.
    program.failed.addEventListener("abort", () => {
      for (const line of program.errorLines()) process.stderr.write(`${ownLock.name}: ${line}\n`);
    });
    try {
      const ready = await initialize(program, { ...spec, ownLock }, worker);
      const { claims } = ready;
      const pingMs = await medianPingMs(program);
      lock = createProgramLock(program, {
        name: ownLock.name,
        claims,
        ttlMs: spec.lockTtlMs,
        extend: spec.extend,
        prefix: randomUUID(),
        onReleaseFailed: releaseFailed,
      });
      const session = lockedSession(lock, resources);
      return {
        async mutate(operation) {
          await session.mutate(operation);
          // A program that fails during the release has failed during the run.
          program.failed.throwIfAborted();
        },
        async close() {
          await session.close();
          await program.close();
        },
        program: {
          signal: program.kill,
          seen: () => ({ program: titleOf(ready), claims, pingMs, ...lock!.counts() }),
        },
      };
    } catch (error) {
      await program.close();
      throw error;
    }
  },
};

type Ready = Extract<Message, { type: "ready" }>;

/** Throws Unavailable where this lock cannot do what the run needs. */
async function initialize(
  program: Program,
  spec: WorkerSpec & { readonly ownLock: OwnLock },
  worker: number,
): Promise<Ready> {
  const { name } = spec.ownLock;
  const answer = await program.ask(
    {
      type: "init",
      protocol: PROTOCOL,
      run: spec.run,
      worker,
      workers: spec.workers,
      ttl_ms: spec.lockTtlMs,
      extend: spec.extend,
      timeout_ms: spec.lockTimeoutMs,
      key_scope: spec.keyScope,
      seed: spec.seed,
    },
    START_MS,
  );
  if (answer.type === "error" && answer.code === "unsupported")
    throw new Unavailable(`its program does not support this run${answer.text === "" ? "" : `: ${answer.text}`}`);
  if (answer.type !== "ready") throw lockErrorOf(name, answer as Extract<Message, { type: "error" }>);
  if (spec.guard === "fence-claim" && !answer.claims.fencing)
    throw new Unavailable(`guard "fence-claim" needs a lock that claims \`fencing\`, and ${titleOf(answer)} does not`);
  if (spec.concurrency > answer.concurrency)
    throw new Unavailable(
      `its program can have ${answer.concurrency} holds and waits at once, and each worker has ${spec.concurrency} loops: lower --concurrency`,
    );
  return answer;
}

const titleOf = ({ name, version, language }: Ready): string =>
  `${name}${version === "" ? "" : ` ${version}`}${language === "" ? "" : ` (${language})`}`;
