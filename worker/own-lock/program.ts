/** Speaks holdfast-lock/1 with the program of a user's own lock. */
import type { Readable } from "node:stream";
import { type Link, type ProgramEnd, TERM_MS } from "./link.ts";
import { ANSWERS, LINE_BYTES_MAX, LOG_MESSAGES_MAX, Message, PINGS, REPLY_MS, type Request } from "./protocol.ts";

export interface ProgramOptions {
  /** Called when the program says by itself that a hold is lost. */
  readonly onLost?: (notice: Extract<Message, { type: "lost" }>) => void;
  /** Each line, as it was sent and received. */
  readonly onLine?: (direction: "to" | "from", line: string) => void;
}

/** The program broke the protocol, gave no answer in time or ended, so that its locks can no longer be relied on. */
export class ProgramFailed extends Error {
  override name = "ProgramFailed";
}

export interface Program {
  /** Resolves with the answer. Rejects with ProgramFailed, also if none arrives within this time, milliseconds. */
  ask(request: Unnumbered<Request>, withinMs: number): Promise<Message>;
  /** Aborted with a ProgramFailed once the program has failed. */
  readonly failed: AbortSignal;
  /** The last lines of standard error, and of `log` messages. */
  errorLines(): readonly string[];
  /** Sends a signal to the program and to all that it has started in its process group, where they can be reached. */
  kill(signal: NodeJS.Signals): void;
  /**
   * Asks the program to close, ends its input, and then whatever is left of it: a process group by SIGTERM after 2 s and
   * SIGKILL after 4 s, a connection after 2 s. Resolves with how the program ended. Never rejects.
   */
  close(): Promise<ProgramEnd>;
  /** Ends its input without a message, as when the worker dies. Resolves like `close`. */
  hangUp(): Promise<ProgramEnd>;
}

type Unnumbered<R> = R extends Request ? Omit<R, "id"> : never;

/** The conversation over a link, which it ends when the program fails. */
export function createProgram(link: Link, { onLost, onLine }: ProgramOptions = {}): Program {
  const failure = new AbortController();
  const waiting = new Map<number, Waiting>();
  const errorLines: string[] = [];
  link.log?.setEncoding("utf8").on("data", (text: string) => keepLines(errorLines, text));
  let lastId = 0;
  let logMessages = 0;
  let closing = false;

  void link.ended.then((how) => {
    if (!closing) fail(`the program ${how}${quoteLast(errorLines)}`);
  });
  link.input.on("error", (error) => {
    // If it has ended, that is the better reason, and is known in a moment.
    const closed = () => fail(`the program ${link.inputClosed} (${error.message})`);
    if (!closing) setTimeout(closed, EXIT_KNOWN_MS).unref();
  });
  readLines(link.output, {
    onLine: receive,
    onTooLong: () => fail(`the program wrote a line of more than ${LINE_BYTES_MAX} bytes`),
  });

  function fail(reason: string) {
    if (failure.signal.aborted) return;
    const error = new ProgramFailed(reason);
    failure.abort(error);
    for (const { reject, deadline } of waiting.values()) {
      deadline.cancel();
      reject(error);
    }
    waiting.clear();
    link.kill("SIGKILL");
  }

  function receive(line: string) {
    if (failure.signal.aborted) return;
    onLine?.("from", line);
    const message = parseMessage(line);
    if (typeof message === "string") return fail(`${message}: ${quote(line)}`);
    if (message.type === "log") {
      logMessages += 1;
      if (logMessages > LOG_MESSAGES_MAX)
        return fail(`the program sent more than ${LOG_MESSAGES_MAX} messages of type "log"`);
      return keepLines(errorLines, message.text);
    }
    if (message.type === "lost" && message.re === undefined) return onLost?.(message);
    const asked = waiting.get(message.re!);
    if (asked === undefined)
      return fail(`the program answered a message that does not wait for an answer: ${quote(line)}`);
    const { request } = asked;
    if (message.type !== "error" && !ANSWERS[request.type].includes(message.type))
      return fail(`"${message.type}" is not an answer to "${request.type}": ${quote(line)}`);
    if ("hold" in request && "hold" in message && request.hold !== message.hold)
      return fail(`the program answered with another hold than "${request.hold}": ${quote(line)}`);
    waiting.delete(message.re!);
    asked.deadline.cancel();
    asked.resolve(message);
    if (message.type === "cancelled") settleCancelled(message.hold, message);
  }

  /** A wait that was cancelled gets no answer of its own. */
  function settleCancelled(hold: string, message: Message) {
    for (const [id, { request, resolve, deadline }] of waiting)
      if (request.type === "acquire" && request.hold === hold) {
        waiting.delete(id);
        deadline.cancel();
        resolve(message);
      }
  }

  function end(): Promise<ProgramEnd> {
    closing = true;
    return link.end();
  }

  const program: Program = {
    failed: failure.signal,
    ask(unnumbered, withinMs) {
      if (failure.signal.aborted) return Promise.reject(failure.signal.reason);
      lastId += 1;
      const request = { ...unnumbered, id: lastId } as Request;
      const line = JSON.stringify(request);
      onLine?.("to", line);
      link.input.write(`${line}\n`);
      return new Promise((resolve, reject) => {
        const late = () => fail(`the program did not answer "${request.type}" within ${withinMs} ms`);
        waiting.set(lastId, { request, resolve, reject, deadline: startDeadline(withinMs, late) });
      });
    },
    errorLines: () => errorLines,
    kill: link.kill,
    async close() {
      if (!failure.signal.aborted) await program.ask({ type: "close" }, TERM_MS).catch(() => {});
      return end();
    },
    hangUp: end,
  };
  return program;
}

/** The median round trip of pings that are sent one after another, milliseconds. Throws ProgramFailed. */
export async function medianPingMs(program: Program): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < PINGS; count += 1) {
    const sentAt = performance.now();
    await program.ask({ type: "ping" }, REPLY_MS);
    times.push(performance.now() - sentAt);
  }
  return times.sort((a, b) => a - b)[PINGS / 2]!;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** How long after a failed write an exit may become known. */
const EXIT_KNOWN_MS = 200;
const ERROR_LINES_MAX = 20;
const QUOTED_MAX = 200;
/** A timer that fires this late shows that the process was stalled. */
const STALL_MS = 250;

interface Waiting {
  readonly request: Request;
  readonly resolve: (message: Message) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: { cancel(): void };
}

/** A timer that starts again if it fires late: this process was stalled, so an answer may be there and not read yet. */
function startDeadline(withinMs: number, passed: () => void): { cancel(): void } {
  const start = (): NodeJS.Timeout => {
    const dueAt = performance.now() + withinMs;
    return setTimeout(() => {
      if (performance.now() > dueAt + STALL_MS) timer = start();
      else passed();
    }, withinMs);
  };
  let timer = start();
  return { cancel: () => clearTimeout(timer) };
}

/** The message, or what is wrong with the line. */
function parseMessage(line: string): Message | string {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return "the program wrote a line that is not JSON";
  }
  const parsed = Message.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `the program wrote a message that is not of the protocol (${[...issue!.path, issue!.message].join(" ")})`;
}

/** Calls back with each line, without keeping more than one line in memory. Nothing is read after a line that is too long. */
function readLines(
  output: Readable,
  { onLine, onTooLong }: { readonly onLine: (line: string) => void; readonly onTooLong: () => void },
) {
  let rest = Buffer.alloc(0);
  output.on("data", (chunk: Buffer) => {
    let begin = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, begin)) {
      const line = Buffer.concat([rest, chunk.subarray(begin, end)]);
      rest = Buffer.alloc(0);
      begin = end + 1;
      if (line.length > LINE_BYTES_MAX) return tooLong();
      if (line.toString().trim() !== "") onLine(line.toString());
    }
    rest = Buffer.concat([rest, chunk.subarray(begin)]);
    if (rest.length > LINE_BYTES_MAX) tooLong();
  });
  function tooLong() {
    output.removeAllListeners("data").resume();
    onTooLong();
  }
}

/** Appends the lines of a text, and removes all but the last ones. */
function keepLines(lines: string[], text: string) {
  const added = text.split("\n").filter((line) => line.trim() !== "");
  lines.push(...added.slice(-ERROR_LINES_MAX).map((line) => line.slice(0, QUOTED_MAX)));
  lines.splice(0, Math.max(0, lines.length - ERROR_LINES_MAX));
}

const quote = (line: string) => (line.length > QUOTED_MAX ? `${line.slice(0, QUOTED_MAX)}...` : line);
const quoteLast = (lines: readonly string[]) => (lines.length === 0 ? "" : `: ${lines.at(-1)}`);
