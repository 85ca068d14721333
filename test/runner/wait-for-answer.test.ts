import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerError } from "../../coordinator/errors.ts";
import { createProgress } from "../../coordinator/report/progress.ts";
import { waitForAnswer } from "../../coordinator/runner/wait-for-answer.ts";

const progress = createProgress({ stream: process.stderr, isTty: false, format: "none" });
const wait = (ask: () => Promise<string>, deadlineMs: number, signal = new AbortController().signal) =>
  waitForAnswer(ask, { deadlineMs, signal, everyMs: 1 }, progress, {});

const silent = new ServerError("MySQL", "connect ECONNREFUSED", "start it");
const refused = new ServerError("MySQL", "Access denied", "correct the password", { final: true });

test("a server that refuses after it was silent: the refusal is the error", async () => {
  const answers = [silent, silent, refused];
  await assert.rejects(
    wait(async () => Promise.reject(answers.shift()), 60_000),
    refused,
  );
});

test("a server that stays silent until the deadline: its error; one that answers: its answer; a signal: its reason", async () => {
  await assert.rejects(
    wait(async () => Promise.reject(silent), 0),
    silent,
  );
  const answers = [Promise.reject(silent), Promise.resolve("8.4")];
  assert.equal(await wait(async () => answers.shift()!, 60_000), "8.4");
  const stop = new AbortController();
  const ask = async () => {
    stop.abort(new Error("SIGTERM"));
    throw silent;
  };
  await assert.rejects(wait(ask, 60_000, stop.signal), /^Error: SIGTERM$/);
});

test("errors that alternate are said once each", async () => {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream;
  const said = createProgress({ stream, isTty: false, format: "text" });
  const failures = ["EAI_AGAIN", "ETIMEDOUT", "EAI_AGAIN", "ETIMEDOUT"].map(
    (code) => new ServerError("MySQL", code, "start it"),
  );
  const ask = async () => (failures.length > 0 ? Promise.reject(failures.shift()) : "8.4");
  await waitForAnswer(ask, { deadlineMs: 60_000, signal: new AbortController().signal, everyMs: 1 }, said, {});
  said.done();
  assert.equal(lines.join("").match(/waiting: MySQL: EAI_AGAIN/g)?.length, 1, lines.join(""));
  assert.equal(lines.join("").match(/waiting: MySQL: ETIMEDOUT/g)?.length, 1);
});
