/** `holdfast check-lock`: tries the program of a user's own lock against each rule of the protocol, without any server. */
import { randomBytes } from "node:crypto";
import { startChild } from "../../worker/own-lock/child.ts";
import { programEnvironment } from "../../worker/own-lock/environment.ts";
import { createProgram, type Program, ProgramFailed } from "../../worker/own-lock/program.ts";
import { type Claims, GRACE_MS, type Message, PROTOCOL, START_MS } from "../../worker/own-lock/protocol.ts";
import { EXIT } from "../judge/report-data.ts";
import type { CheckLockFlags } from "../plan/check-lock-flags.ts";
import { RULES, RuleBroken, type Talk, TTL_MS } from "./lock-rules.ts";

interface Result {
  readonly rule: string;
  readonly outcome: "passed" | "broken" | "not claimed" | "not tried";
  readonly remark?: string | undefined;
  readonly lines: readonly string[];
}

/** Prints each rule with its outcome, and the lines exchanged where it was broken. Returns the exit status: 0 or 1. */
export async function checkLock({ lockCommand, verbose }: CheckLockFlags): Promise<number> {
  const write = (text: string) => process.stdout.write(`${text}\n`);
  write(`${PROTOCOL}: ${lockCommand.join(" ")}\n`);
  let broken = 0;
  let passed = 0;
  for await (const { rule, outcome, remark, lines } of results(lockCommand)) {
    if (outcome === "broken") broken += 1;
    if (outcome === "passed") passed += 1;
    write(`${MARKS[outcome]} ${rule}${remark === undefined ? "" : `: ${remark}`}`);
    if (outcome === "broken" || verbose) for (const line of shortened(lines)) write(`      ${line}`);
  }
  write(`\n${broken === 0 ? "every rule that was tried is kept" : `${broken} broken`}, ${passed} passed`);
  return broken === 0 ? EXIT.expected : EXIT.violated;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const MARKS = { passed: "  ✓", broken: "  ✗", "not claimed": "  -", "not tried": "  -" } as const;
const LINES_SHOWN_MAX = 12;
const LINE_SHOWN_MAX = 200;

async function* results(command: CheckLockFlags["lockCommand"]): AsyncGenerator<Result> {
  const lines: string[] = [];
  const onLine = (direction: string, line: string) => lines.push(`${direction === "to" ? "→" : "←"} ${line}`);
  const start = () => createProgram(startChild({ command, env: programEnvironment(process.env) }), { onLine });
  const outcomeOf = async (rule: string, attempt: () => Promise<string | undefined>): Promise<Result> => {
    try {
      return { rule, outcome: "passed", remark: await attempt(), lines: lines.splice(0) };
    } catch (error) {
      if (!(error instanceof RuleBroken || error instanceof ProgramFailed)) throw error;
      return { rule, outcome: "broken", remark: error.message, lines: lines.splice(0) };
    }
  };

  let program = start();
  let ready: Ready | undefined;
  yield await outcomeOf("answers `init` with `ready`", async () => {
    ready = await initialize(program);
    const { name, version, language } = ready;
    return [name, version, language].filter((word) => word !== "").join(" ");
  });
  for (const { name, claim, attempt } of RULES) {
    if (ready === undefined) yield { rule: name, outcome: "not tried", remark: "the program did not start", lines: [] };
    else if (claim !== undefined && !ready.claims[claim])
      yield { rule: name, outcome: "not claimed", remark: `it does not claim \`${claim}\``, lines: [] };
    else
      yield await outcomeOf(name, async () => {
        // After a failure the next rule begins with a new program.
        if (program.failed.aborted) {
          await program.hangUp();
          program = start();
          await initialize(program);
          lines.splice(0);
        }
        return attempt(talkOf(program));
      });
  }
  if (ready === undefined || program.failed.aborted) return void (await program.hangUp());
  yield await outcomeOf("answers `close` with `closed`, and exits with 0", () => tryClose(program, lines));
  yield await outcomeOf("exits when its standard input ends without `close`", () => tryHangUp(start()));
}

async function tryClose(program: Program, lines: readonly string[]): Promise<undefined> {
  const { how, forced, leftovers } = await program.close();
  if (forced) throw new RuleBroken("it did not exit within 2 s after its standard input had ended");
  if (how !== "exited with 0") throw new RuleBroken(`it ${how}`);
  if (leftovers) throw new RuleBroken("it left processes behind");
  if (!lines.some((line) => /^← .*"closed"/.test(line))) throw new RuleBroken("it did not answer `closed`");
}

async function tryHangUp(program: Program): Promise<undefined> {
  const started = await initialize(program).catch((error: Error) => error);
  const { how, forced, leftovers } = await program.hangUp();
  if (started instanceof Error) throw started;
  if (forced) throw new RuleBroken(`it did not exit within 2 s, and then ${how}`);
  if (leftovers) throw new RuleBroken("it left processes behind");
}

type Ready = Extract<Message, { type: "ready" }>;

async function initialize(program: Program): Promise<Ready & { readonly claims: Claims }> {
  const answer = await program.ask(
    {
      type: "init",
      protocol: PROTOCOL,
      run: `check-${randomBytes(4).toString("hex")}`,
      worker: 0,
      workers: 1,
      ttl_ms: TTL_MS,
      extend: true,
      timeout_ms: 1_000,
      key_scope: "row",
      seed: 1,
    },
    START_MS,
  );
  if (answer.type === "ready") return answer;
  throw new RuleBroken(answer.type === "error" ? `error ${answer.code}: ${answer.text}` : `it answered ${answer.type}`);
}

function talkOf(program: Program): Talk {
  const name = randomBytes(4).toString("hex");
  let holds = 0;
  return {
    program,
    key: (suffix = "") => `check:${name}${suffix}`,
    acquire(key, timeoutMs = 1_000) {
      holds += 1;
      const hold = `${name}-${holds}`;
      const request = { type: "acquire", key, hold, timeout_ms: timeoutMs } as const;
      return { hold, answer: program.ask(request, timeoutMs + GRACE_MS) };
    },
  };
}

function shortened(lines: readonly string[]): string[] {
  const shown = lines
    .slice(-LINES_SHOWN_MAX)
    .map((line) => (line.length > LINE_SHOWN_MAX ? `${line.slice(0, LINE_SHOWN_MAX)}...` : line));
  return lines.length > shown.length ? [`(${lines.length - shown.length} lines before)`, ...shown] : shown;
}
