import { OPERATIONS_PER_WRITER, operationId, type WriterFinal, writerOf } from "../../../worker/contract.ts";
import { type Evidence, isForeign } from "../evidence.ts";
import type { Judgement } from "../report-data.ts";

/** One writer's operations: what the worker reported and what the ledger has, operation by operation. */
export interface WriterHistory {
  readonly writer: number;
  readonly registered: boolean;
  /** Index and uid of the worker whose loop this is. */
  readonly worker: number;
  readonly uid: string;
  /** Absent where the worker was lost before it could say. */
  readonly final?: WriterFinal | undefined;
  /** One bit for each operation, from 1 on, least significant bit first. */
  readonly acknowledged: Uint8Array;
  readonly unknown: Uint8Array;
  readonly present: Uint8Array;
  /** Different operations of this writer in the ledger. */
  readonly operations: number;
  /** Operations of unknown outcome that the ledger has. */
  readonly recovered: number;
  /** Sum of the raises in the ledger, without those of recovered operations: nobody acknowledged them. */
  readonly raised: number;
}

export interface WriterHistories {
  readonly writers: ReadonlyMap<number, WriterHistory>;
  /** Ledger rows of operations that nobody attempted, by their row number. */
  readonly unexpected: readonly number[];
  /** Ledger rows whose operation has an earlier row already: allowed for another employee only. */
  readonly repeated: readonly number[];
}

/** Two passes of integer arithmetic; a set of a million operation ids would cost a hundred times the memory. */
export function readHistories(evidence: Evidence): WriterHistories {
  const { ledger } = evidence;
  const writers = openHistories(evidence);
  const unexpected: number[] = [];
  const repeated: number[] = [];
  for (let row = 0; row < ledger.length; row++) {
    const op = ledger.op[row]!;
    if (isForeign(evidence, op)) continue;
    const writer = writerOf(op);
    const sequence = op - writer * OPERATIONS_PER_WRITER;
    const history = writers.get(writer);
    if (history === undefined || !attempted(history, sequence)) {
      unexpected.push(row);
      continue;
    }
    if (has(history.present, sequence)) repeated.push(row);
    else {
      history.present = mark(history.present, sequence);
      history.operations++;
      if (has(history.unknown, sequence)) history.recovered++;
    }
    if (!has(history.unknown, sequence)) history.raised += ledger.raise[row]!;
  }
  return { writers, unexpected, repeated };
}

/** Operations of unknown outcome of the writers that gave final numbers, by whether the ledger has them. */
export function countResolved({ writers }: WriterHistories): NonNullable<Judgement["resolved"]> {
  let [applied, unknown] = [0, 0];
  for (const { final, recovered } of writers.values()) {
    if (final === undefined) continue;
    applied += recovered;
    unknown += final.unknown.length;
  }
  return { applied, notApplied: unknown - applied };
}

export const has = (bits: Uint8Array, sequence: number) =>
  (((bits[(sequence - 1) >>> 3] ?? 0) >>> ((sequence - 1) & 7)) & 1) === 1;

/** The operations whose bit `select` leaves set: how many, and the ids of the first ones. */
export function pick(history: WriterHistory, most: number, select: (byte: number) => number) {
  const bytes = Math.max(history.acknowledged.length, history.unknown.length, history.present.length);
  const first: number[] = [];
  let count = 0;
  for (let byte = 0; byte < bytes; byte++) {
    const bits = select(byte) & 0xff;
    if (bits === 0) continue;
    for (let bit = 0; bit < 8; bit++) {
      if (((bits >>> bit) & 1) === 0) continue;
      count++;
      if (first.length < most) first.push(operationId(history.writer, byte * 8 + bit + 1));
    }
  }
  return { count, first };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type OpenHistory = { -readonly [Key in keyof WriterHistory]: WriterHistory[Key] };

/** One for each writer that registered, and for each that a worker says it had. */
function openHistories({ writers, workers }: Evidence): Map<number, OpenHistory> {
  const histories = new Map<number, OpenHistory>();
  const open = (writer: number, worker: number, uid: string, registered: boolean, final?: WriterFinal) =>
    histories.set(writer, {
      writer,
      registered,
      worker,
      uid,
      final,
      acknowledged: final === undefined ? NOTHING : Buffer.from(final.acknowledged, "base64"),
      unknown: final === undefined ? NOTHING : bitsOf(final.unknown),
      present: new Uint8Array(final === undefined ? 0 : (final.attempted + 7) >>> 3),
      operations: 0,
      recovered: 0,
      raised: 0,
    });
  const said = new Map(workers.flatMap(({ final }) => final?.writers.map((writer) => [writer.writer, writer]) ?? []));
  // A worker that gave its final numbers without naming a writer says that this writer attempted nothing.
  const complete = new Set(
    workers.flatMap(({ index, uid, final }) => (final === undefined ? [] : [`${index} ${uid}`])),
  );
  for (const { id, worker, uid } of writers) {
    const idle = complete.has(`${worker} ${uid}`)
      ? { writer: id, attempted: 0, acknowledged: "", unknown: [] }
      : undefined;
    open(id, worker, uid, true, said.get(id) ?? idle);
  }
  for (const { index, uid, final } of workers)
    for (const writer of final?.writers ?? [])
      if (!histories.has(writer.writer)) open(writer.writer, index, uid, false, writer);
  return histories;
}

const NOTHING = new Uint8Array(0);

/** Rows of a writer that never registered are unexpected even where a worker claims them. */
const attempted = ({ registered, final }: WriterHistory, sequence: number) =>
  registered && sequence >= 1 && (final === undefined || sequence <= final.attempted);

function bitsOf(operations: readonly number[]): Uint8Array {
  let bits = new Uint8Array(0);
  for (const operation of operations) bits = mark(bits, operation % OPERATIONS_PER_WRITER);
  return bits;
}

/** Sets one bit, in a larger copy where it lies beyond the end. */
function mark(bits: Uint8Array, sequence: number): Uint8Array<ArrayBuffer> {
  const byte = (sequence - 1) >>> 3;
  const room =
    byte < bits.length ? (bits as Uint8Array<ArrayBuffer>) : new Uint8Array(Math.max(byte + 1, bits.length * 2));
  if (room !== bits) room.set(bits);
  room[byte]! |= 1 << ((sequence - 1) & 7);
  return room;
}
