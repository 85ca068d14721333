/** Where the answer to a request with several statements ends, however its bytes are divided among chunks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMysqlAnswer, isTls } from "../../worker/servers/mysql-answer.ts";

const AUTOCOMMIT = 2;
const MORE_RESULTS = 8;

const packet = (number: number, body: readonly number[]) =>
  Buffer.from([body.length & 0xff, body.length >> 8, 0, number, ...body]);

/** `insertId` as the server encodes an integer. */
const ok = (number: number, status: number, insertId: readonly number[] = [0]) =>
  packet(number, [0, 1, ...insertId, status, 0, 0, 0]);

const ERROR = packet(2, [0xff, 0xbd, 0x04, ...Buffer.from("#40001Deadlock")]);
const RESULT_SET = packet(1, [2]);

const answers: readonly (readonly [title: string, packets: readonly Buffer[]])[] = [
  ["one statement", [ok(1, AUTOCOMMIT)]],
  ["three statements", [ok(1, MORE_RESULTS), ok(2, MORE_RESULTS | AUTOCOMMIT), ok(3, AUTOCOMMIT)]],
  ["an integer of 3 bytes", [ok(1, MORE_RESULTS, [0xfc, 8, 8]), ok(2, AUTOCOMMIT)]],
  ["an integer of 4 bytes", [ok(1, MORE_RESULTS, [0xfd, 8, 8, 8]), ok(2, AUTOCOMMIT)]],
  ["an integer of 9 bytes", [ok(1, MORE_RESULTS, [0xfe, 8, 8, 8, 8, 8, 8, 8, 8]), ok(2, AUTOCOMMIT)]],
  ["an error in the second statement", [ok(1, MORE_RESULTS), ERROR]],
  ["rows, of which nothing is known", [RESULT_SET]],
];

for (const [title, packets] of answers)
  test(`the answer ends with its last byte: ${title}`, () => {
    const bytes = Buffer.concat(packets);
    for (const size of [1, 3, 7, bytes.length]) {
      const answer = createMysqlAnswer();
      for (let at = 0; at < bytes.length; at += size) {
        const isLast = at + size >= bytes.length;
        assert.equal(answer.endsWith(bytes.subarray(at, at + size)), isLast, `chunks of ${size}, at byte ${at}`);
      }
    }
  });

test("records of TLS are told from packets", () => {
  assert.ok(isTls(Buffer.from([0x17, 3, 3, 0, 40])));
  for (const [, packets] of answers) assert.ok(!isTls(packets[0]!));
});
