/** What a worker and the program of a lock exchange lines over: the streams of a child process, or a socket. */
import type { Readable, Writable } from "node:stream";

export interface Link {
  /** To the program. */
  readonly input: Writable;
  /** From the program. */
  readonly output: Readable;
  /** Its log, where it can be read. */
  readonly log?: Readable;
  /** What a failed write means, in words: `closed its standard input`. */
  readonly inputClosed: string;
  /** Resolves with how it ended: `exited with 0`, `closed the connection`. Never rejects. */
  readonly ended: Promise<string>;
  /** Sends a signal to all processes of the program, where they can be reached. SIGKILL ends the link in any case. */
  kill(signal: NodeJS.Signals): void;
  /** Ends the input, and then whatever does not end by itself. Resolves with how it ended. Never rejects. */
  end(): Promise<ProgramEnd>;
}

export interface ProgramEnd {
  /** `exited with 0`, `was killed by SIGKILL`, `closed the connection`. */
  readonly how: string;
  /** Whether it took force to end it. */
  readonly forced: boolean;
  /** Whether processes of its group were left when it had ended. They are killed. */
  readonly leftovers: boolean;
}

/** How long a program has to end by itself. */
export const TERM_MS = 2_000;
/** How long it has before it is ended by force that it cannot catch. */
export const KILL_MS = 4_000;
