import assert from "node:assert/strict";
import { test } from "node:test";
import {
  buildLedger,
  createLedgerBuilder,
  LEDGER_COLUMNS,
  type LedgerRow,
  listRows,
} from "../../../coordinator/judge/ledger.ts";
import { serial } from "../../support/histories.ts";

const row = (seq: number): LedgerRow =>
  Object.fromEntries(LEDGER_COLUMNS.map((column, index) => [column, seq * 100 + index])) as LedgerRow;
const values = (seq: number) => [seq, ...Object.values(row(seq))];

test("what is appended comes out, in order and past every growth", () => {
  const builder = createLedgerBuilder();
  for (let seq = 1; seq <= 3_000; seq++) builder.append(values(seq));
  const ledger = builder.finish();
  assert.deepEqual(ledger, buildLedger(Array.from({ length: 3_000 }, (_, index) => row(index + 1))));
  for (const column of LEDGER_COLUMNS) assert.equal(ledger[column].length, 3_000);
});

test("rows go in and out unchanged", () => {
  const { ledger } = serial(50);
  assert.deepEqual(buildLedger(listRows(ledger)), ledger);
  assert.equal(createLedgerBuilder().finish().length, 0);
});

test("a row that is too short or too long is refused", () => {
  const builder = createLedgerBuilder();
  assert.throws(() => builder.append(values(1).slice(1)), /12 values, not 11/);
  assert.throws(() => builder.append([...values(1), 0]), /12 values, not 13/);
});

test("a million rows take less than 100 MB, whether their number was known or not", () => {
  const one = values(1);
  for (const expected of [0, 1_000_000]) {
    const builder = createLedgerBuilder(expected);
    for (let seq = 0; seq < 1_000_000; seq++) builder.append(one);
    const ledger = builder.finish();
    const bytes = LEDGER_COLUMNS.reduce((sum, column) => sum + ledger[column].buffer.byteLength, 0);
    assert.ok(bytes < 100e6, `${bytes} bytes`);
  }
});
