/**
 * An independent checker agrees with the check `chain`: the rows of a history are registers that are linearizable under
 * read-modify-write, or they are not. It reads the files that `--history` writes.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { chain } from "../../coordinator/judge/checks/chain.ts";
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { HISTORY_FOLDER, historyFile } from "../../coordinator/judge/history.ts";
import { createHistoryFolder } from "../../coordinator/platform/report-folder.ts";
import { simulate, turns, withRows } from "../support/histories.ts";
import { buildPorcupine } from "../support/porcupine.ts";
import { recordedOf } from "../support/saved-history.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-porcupine-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What may be wrong with a history whose operations never overlapped. */
const CHANGES: readonly ((evidence: Evidence) => Evidence)[] = [
  (evidence) => evidence,
  (evidence) => evidence,
  (evidence) => withRows(evidence, (rows) => rows.splice(rows.length >> 1, 1)),
  (evidence) =>
    withRows(evidence, (rows) => {
      const row = rows[rows.length >> 1];
      if (row !== undefined) row.readVersion -= 1;
    }),
  (evidence) => withRows(evidence, (rows) => rows.push(...rows.slice(-1))),
  (evidence) => ({ ...evidence, final: evidence.final.map((row) => ({ ...row, version: row.version + 1 })) }),
];

const HISTORIES = 200;

/** Half of them as they come, most with lost updates; half as under a lock, some of them changed. */
const generated: Evidence[] = fc.sample(turns(), { numRuns: HISTORIES, seed: 1 }).map((taken, index) => {
  const run = `test-${index + 1}-redis`;
  if (index % 2 === 0) return simulate(taken, { run }).evidence;
  const underLock = simulate(
    taken.flatMap((turn) => [turn, turn]),
    { run },
  ).evidence;
  return CHANGES[(index >> 1) % CHANGES.length]!(underLock);
});

test(`porcupine and the check "chain" agree on ${HISTORIES} generated histories`, async (t) => {
  const porcupine = buildPorcupine(folder);
  if (porcupine.missing !== undefined) return t.skip(porcupine.missing);
  const history = await createHistoryFolder(folder);
  for (const evidence of generated) await history.saveRun(recordedOf(evidence));
  const said = porcupine.check(generated.map(({ plan }) => join(folder, HISTORY_FOLDER, historyFile(plan.run))));
  const found = generated.map((evidence) => (chain(evidence).status === "holds" ? "Ok" : "Illegal"));
  assert.deepEqual(said, found);
  const held = found.filter((result) => result === "Ok").length;
  assert.ok(held >= 40 && held <= HISTORIES - 40, `${held} of ${HISTORIES} hold`);
});
