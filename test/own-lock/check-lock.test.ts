/** `holdfast check-lock` finds each broken rule and names it, and no honest lock breaks any. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const COORDINATOR = join(ROOT, "coordinator/main.ts");
const LOCK = join(ROOT, "test/support/own-lock.ts");

async function check(command: readonly string[], ...flags: string[]) {
  const child = spawn(process.execPath, [COORDINATOR, "check-lock", ...flags, "--", ...command], {
    env: { ...process.env, MYSQL_PASSWORD: "of-mysql", HOLDFAST_TOKEN: "of-workers" },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => {
    out += text;
  });
  child.stderr.on("data", (text) => {
    err += text;
  });
  const [status] = await once(child, "close");
  return { status, out, err, broken: [...out.matchAll(/^ {2}✗ (.*)$/gm)].map(([, rule]) => rule!) };
}

test("a lock that keeps every rule: exit status 0, and no rule is left out", async () => {
  const { status, out, broken } = await check([process.execPath, LOCK]);
  assert.deepEqual(broken, []);
  assert.equal(status, 0, out);
  assert.doesNotMatch(out, /^ {2}- /m);
  assert.match(out, /ready`: memory 1 node$/m);
  assert.match(out, /round trip \d+ µs/);
  assert.match(out, /\nevery rule that was tried is kept, 14 passed\n$/);
});

/** The rule that each bug breaks first, with what is said of it. */
const BUGS: Readonly<Record<string, RegExp>> = {
  refuses: /^answers `init` with `ready`: error config: no such folder$/,
  garbage: /pings: the program wrote a line that is not JSON: hello$/,
  "long-line": /pings: the program wrote a line of more than 65536 bytes$/,
  dies: /pings: the program exited with 7$/,
  silent: /pings: the program did not answer "ping" within 4000 ms$/,
  "answers-twice": /: the program answered a message that does not wait for an answer: \{"type":"acquired"/,
  "no-exclusion": /^refuses a second holder.*: two holds of one key at the same time$/,
  "early-timeout": /^refuses a second holder.*: it gave up after \d+ ms; the wait was 300 ms$/,
  "no-handover": /^refuses a second holder|^gives a lock to a waiter|^ends a wait/,
  "forgets-cancel": /^ends a wait that is cancelled/,
  "no-owner": /^does not say `released`.*: it released the same hold twice/,
  "no-fence": /^gives tokens that grow.*: `acquired` has no `fence`$/,
  "stuck-fence": /^gives tokens that grow.*: token 7 after 7$/,
  "extends-nothing": /^extends a lease.*: `extend` was answered with `lost` before the TTL ended$/,
  "keeps-leases": /^extends a lease.*: nobody got the lock 1500 ms after the last extension$/,
  "checks-wrong": /^answers `held` while it holds the lock: it answered `lost`$/,
  "exits-badly": /^answers `close`.*: it exited with 3$/,
  stays: /^answers `close`.*: it did not exit within 2 s after its standard input had ended$/,
  "leaves-a-child": /^answers `close`.*: it left processes behind$/,
};

describe("each broken rule is found, with the lines that show it", { concurrency: 3 }, () => {
  for (const [bug, expected] of Object.entries(BUGS))
    test(bug, async () => {
      const { status, out, broken } = await check([process.execPath, LOCK, bug]);
      assert.equal(status, 1, out);
      assert.match(broken[0] ?? "", expected);
      assert.match(out, /^ {6}[→←] \{/m);
    });
});

test("no process is left, whatever the program does", () => {
  const { stdout } = spawnSync("ps", ["-eo", "args"], { encoding: "utf8" });
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.includes(LOCK) || line === "sleep 60"),
    [],
  );
});

test("the program sees no variable but those that it needs", async () => {
  const { out } = await check(
    ["sh", "-c", 'echo "{\\"type\\":\\"log\\",\\"text\\":\\"$(env | tr "\\n" " ")\\"}"'],
    "--verbose",
  );
  assert.match(out, /PATH=/);
  assert.doesNotMatch(out, /of-mysql|of-workers/);
});

test("a program that cannot be started, and a command that is left out", async () => {
  const missing = await check(["/no/such/program"]);
  assert.equal(missing.status, 1);
  assert.match(missing.broken[0]!, /^answers `init`.*could not be started: .*ENOENT/);
  const none = await check([]);
  assert.equal(none.status, 2);
  assert.match(none.err, /^holdfast: missing required argument 'command'; see --help\n$/);
});
