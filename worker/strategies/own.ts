import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { OwnLock, WorkerSpec } from "../contract.ts";
import { lockedSession } from "../lock-session.ts";
import { LockUnreachable } from "../locks/lock.ts";
import { startChild } from "../own-lock/child.ts";
import { programEnvironment } from "../own-lock/environment.ts";
import type { Link } from "../own-lock/link.ts";
import { createProgramLock, lockErrorOf, type ProgramLock } from "../own-lock/lock.ts";
import { createProgram, medianPingMs, type Program } from "../own-lock/program.ts";
import { type Message, PROTOCOL, START_MS } from "../own-lock/protocol.ts";
import { connectSocket } from "../own-lock/socket.ts";
import { type Resources, type Strategy, Unavailable } from "../strategy.ts";

/**
 * A lock of the user's own: a program that speaks holdfast-lock/1, started by each worker or listening on a socket. It is
 * not used again when it fails, which would hide the locks that it has lost: the worker ends with the reason.
 */
export const own: Strategy = {
  async open(resources) {
    const { spec, worker, lockFolder, releaseFailed } = resources;
    const { ownLock } = spec;
    if (ownLock === undefined) throw new Unavailable("needs --lock");
    // The program finds the folder in HOLDFAST_LOCK_FOLDER.
    if (lockFolder !== undefined) await mkdir(lockFolder, { recursive: true });
    let lock: ProgramLock | undefined;
    const program = createProgram(await openLink(ownLock, resources), { onLost: (notice) => lock?.lost(notice) });
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

/** Throws LockUnreachable as long as nothing listens on the socket. */
async function openLink({ name, command, socket }: OwnLock, resources: Resources): Promise<Link> {
  if (socket === undefined) {
    const env = programEnvironment(process.env, { name, redisUrl: resources.guestRedisUrl() });
    return startChild({ command: command!, env });
  }
  return connectSocket(socket).catch((cause: NodeJS.ErrnoException) => {
    throw new LockUnreachable(`the program of lock "${name}" does not listen on ${socket} (${cause.code})`, { cause });
  });
}

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
