import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerError } from "../../../coordinator/errors.ts";
import { createSilenceExplainer } from "../../../coordinator/platform/kubernetes/silence.ts";

const failure = (code: string) => Object.assign(new Error(`connect ${code}`), { code });
const silent = new ServerError("MySQL at db:3306", "connect ETIMEDOUT", "start it", { cause: failure("ETIMEDOUT") });
const never = () => new Promise(() => {});
const dns = (code: string) => () => Promise.reject(failure(code));

test("a server that does not answer because DNS does not: the error names the values of the chart", async () => {
  for (const lookup of [never, dns("EAI_AGAIN")]) {
    const explained = await createSilenceExplainer(lookup, 20)(silent);
    assert.match(
      explained!.message,
      /^MySQL at db:3306: connect ETIMEDOUT: no DNS server answers; .* networkPolicy\.dns\.peers and networkPolicy\.dns\.ports$/,
    );
    assert.equal(explained!.final, false);
  }
});

test("where DNS answers, even if there is no such name, or where the server refused, the error stays as it is", async () => {
  assert.equal(await createSilenceExplainer(async () => {}, 20)(silent), undefined);
  assert.equal(await createSilenceExplainer(dns("ENOTFOUND"), 20)(silent), undefined);
  const refused = new ServerError("MySQL at db:3306", "connect ECONNREFUSED", "start it", {
    cause: failure("ECONNREFUSED"),
  });
  assert.equal(await createSilenceExplainer(never, 20)(refused), undefined);
});

test("one lookup is under way at a time, and the next one begins after it has ended", async () => {
  let lookups = 0;
  let end = () => {};
  const explain = createSilenceExplainer(() => {
    lookups++;
    return new Promise<void>((resolve) => {
      end = resolve;
    });
  }, 20);
  assert.ok(await explain(silent));
  assert.ok(await explain(silent));
  assert.equal(lookups, 1);
  end();
  await new Promise(setImmediate);
  const answered = explain(silent);
  end();
  assert.equal(await answered, undefined);
  assert.equal(lookups, 2);
});
