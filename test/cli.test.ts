/** The command as users run it: bad input, unusable servers, and every way to end. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import mysql from "mysql2/promise";
import { Report } from "../coordinator/judge/report-data.ts";
import { type Servers, startServers } from "../coordinator/platform/local/servers/index.ts";
import { freePort } from "../coordinator/platform/local/servers/ports.ts";
import { bareEnvironment } from "./support/environment.ts";
import { workerProcesses } from "./support/processes.ts";

const MAIN = join(import.meta.dirname, "../coordinator/main.ts");

interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-cli-"));
});
after(() => rm(folder, { recursive: true, force: true }));

function start(args: readonly string[], variables: Record<string, string> = {}): ChildProcess {
  const env = { ...bareEnvironment(folder), ...variables };
  return spawn(process.execPath, [MAIN, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
}

async function end(child: ChildProcess): Promise<Ended> {
  const text = { out: "", err: "" };
  child.stdout!.on("data", (chunk) => (text.out += chunk));
  child.stderr!.on("data", (chunk) => (text.err += chunk));
  const [status] = (await once(child, "close")) as [number | null];
  return { status, ...text };
}

const holdfast = (args: readonly string[], variables?: Record<string, string>) => end(start(args, variables));

/** Standard error must be one line that names the cause. */
function assertOneLine({ err }: Ended, ...parts: RegExp[]) {
  assert.match(err, /^holdfast: [^\n]+\n$/, `not one line: ${err}`);
  for (const part of parts) assert.match(err, part);
}

describe("options", () => {
  for (const [args, ...parts] of [
    [["--strategies", "none,nope"], /strategies/, /"nope" is not one of none, memory/],
    [["--scenario", "faults", "--faults", "stall,nope"], /faults/, /"nope" is not one of stall, partition/],
    [["--faults", "stall"], /compare/, /--faults/],
    [["--scenario", "faults", "--faults", "redis-stall", "--strategies", "row-lock"], /redis-stall/, /--strategies/],
    [["--workers", "0"], /--workers 0: must be at least 1/],
    [["--workers", "-3"], /--workers -3/],
    [["--workers", "four"], /--workers four/, /number/],
    [["--workers", "2.5"], /--workers 2.5/, /whole number/],
    [["--duration", "0s"], /duration 0s/, /at least 500ms/],
    [["--duration", "-5s"], /--duration -5s/, /not a duration/],
    [["--duration", "5"], /--duration 5/, /write 250ms, 5s or 2m/],
    [["--duration", "soon"], /--duration soon/, /not a duration/],
    [["--hold", "1d"], /--hold 1d/],
    [["--extend", "perhaps"], /--extend perhaps/],
    [["--guard", "luck"], /--guard luck/],
    [["--verbose", "perhaps"], /--verbose perhaps: must be true or false/],
    [["--scenario", "nope"], /--scenario nope/],
    [
      ["--lock-ttl", "100ms", "--hold", "200ms", "--extend", "false"],
      /--lock-ttl 100ms/,
      /--hold 200ms/,
      /raise --lock-ttl/,
    ],
    [["--wrokers", "3"], /unknown option '--wrokers'/, /--help/],
    [["dance"], /too many arguments|unknown command/],
  ] as [string[], ...RegExp[]][])
    test(`${args.join(" ")} is refused with exit status 2`, async () => {
      const ended = await holdfast(args);
      assert.equal(ended.status, 2, ended.err);
      assertOneLine(ended, ...parts);
      assert.deepEqual(await readdir(folder), [], "nothing is left behind");
    });

  test("a bad variable is refused like a bad option", async () => {
    const ended = await holdfast([], { HOLDFAST_WORKERS: "many" });
    assert.equal(ended.status, 2, ended.err);
    assertOneLine(ended, /workers/);
  });

  test("an IPv6 address to listen on needs brackets", async () => {
    const ended = await holdfast([], { HOLDFAST_LISTEN: ":::8080" });
    assert.equal(ended.status, 2, ended.err);
    assertOneLine(ended, /HOLDFAST_LISTEN: write host:port, or \[address\]:port for IPv6/);
  });

  test("REDIS_URLS without REDIS_URL", async () => {
    const ended = await holdfast([], { REDIS_URLS: "redis://127.0.0.1:1,redis://127.0.0.1:2,redis://127.0.0.1:3" });
    assert.equal(ended.status, 2, ended.err);
    assertOneLine(ended, /REDIS_URLS also needs REDIS_URL/);
  });

  test("--help shows every option with its default and unit, the strategies and the exit status", async () => {
    for (const args of [["--help"], ["run", "--help"]]) {
      const { status, out } = await holdfast(args);
      assert.equal(status, 0);
      for (const part of [
        "--workers",
        "--lock-ttl",
        '"5s"',
        "HOLDFAST_DURATION",
        "row-lock",
        "MYSQL_URL",
        "Exit status",
      ])
        assert.ok(out.includes(part), `no ${part} in:\n${out}`);
      for (const command of ["reset", "verdict"]) assert.match(out, new RegExp(`^  ${command} +on Kubernetes`, "m"));
    }
    assert.match((await holdfast(["verdict", "--help"])).out, /--wait <duration>/);
  });

  test("a folder that cannot be written is reported before anything runs", async () => {
    const ended = await holdfast(["--out", "/proc/holdfast"]);
    assert.equal(ended.status, 2, ended.err);
    assertOneLine(ended, /cannot write the report to \/proc\/holdfast/, /--out/);
  });

  test("a folder for temporary files that does not exist", async () => {
    const ended = await holdfast([], { TMPDIR: "/proc/nowhere" });
    assert.equal(ended.status, 4, ended.err);
    assertOneLine(ended, /TMPDIR/);
  });
});

test("a bug in an event handler ends with exit status 3 and its stack, not with the status of a violation", async () => {
  const planted = join(folder, "planted.mjs");
  await writeFile(
    planted,
    `import { Socket } from "node:net";
const { connect } = Socket.prototype;
Socket.prototype.connect = function (...all) {
  setImmediate(() => { throw new Error("planted"); });
  return connect.apply(this, all);
};`,
  );
  const url = (scheme: string) => `${scheme}://127.0.0.1:9`;
  const variables = { MYSQL_URL: `${url("mysql")}/x`, REDIS_URL: url("redis"), PROMETHEUS_URL: url("http") };
  const { status, err } = await holdfast([], { ...variables, NODE_OPTIONS: `--import=${planted}` });
  // Later tests require an empty folder.
  await rm(planted);
  assert.match(err, /^holdfast: Error: planted\n\s+at /);
  assert.equal(status, 3);
});

describe("servers", () => {
  let servers: Servers;
  let whole: Record<string, string>;
  const short = ["--strategies", "none", "--duration", "500ms", "--start-deadline", "5s"];
  before(async () => {
    servers = await startServers({ coordinatorUrl: "http://127.0.0.1:9" });
    whole = {
      MYSQL_URL: servers.mysql!.url,
      REDIS_URL: servers.redis!.url,
      REDIS_PASSWORD_LOCK: servers.redis!.passwords.lock,
      REDIS_PASSWORD_MONITOR: servers.redis!.passwords.monitor,
      PROMETHEUS_URL: servers.prometheus!.url,
    };
  });
  after(() => servers[Symbol.asyncDispose]());

  const changed = (url: string, change: (url: URL) => void) => {
    const copy = new URL(url);
    change(copy);
    return copy.href;
  };

  test("an unreachable server is named with the reason and the fix, exit status 4", async () => {
    const port = await freePort();
    for (const [name, variable, url] of [
      ["MySQL", "MYSQL_URL", `mysql://root@127.0.0.1:${port}/holdfast`],
      ["Redis", "REDIS_URL", `redis://127.0.0.1:${port}`],
      ["Prometheus", "PROMETHEUS_URL", `http://127.0.0.1:${port}`],
    ] as const) {
      const ended = await holdfast(short, { ...whole, [variable]: url });
      assert.equal(ended.status, 4, ended.err);
      assertOneLine(
        ended,
        new RegExp(`${name} at \\S*127\\.0\\.0\\.1:${port}`),
        /ECONNREFUSED/,
        new RegExp(`correct ${variable}`),
      );
    }
  });

  test("SIGTERM while it waits for a server: one line, exit status 3", async () => {
    const child = start(short, { ...whole, MYSQL_URL: `mysql://root@127.0.0.1:${await freePort()}/holdfast` });
    const ended = end(child);
    child.stdout!.on("data", (chunk) => {
      if (String(chunk).includes("waiting: MySQL")) child.kill("SIGTERM");
    });
    assert.equal((await ended).status, 3);
    assertOneLine(await ended, /interrupted by SIGTERM before the first run/);
  });

  test("a wrong password of MySQL", async () => {
    const wrong = changed(servers.mysql!.url, (url) => {
      url.password = "wrong";
    });
    const ended = await holdfast(short, { ...whole, MYSQL_URL: wrong });
    assert.equal(ended.status, 4, ended.err);
    assertOneLine(ended, /MySQL at/, /Access denied/, /MYSQL_PASSWORD/);
    assert.doesNotMatch(ended.err, /wrong/);
  });

  test("a wrong password of each Redis user", async () => {
    for (const user of ["lock", "monitor"]) {
      const ended = await holdfast(short, { ...whole, [`REDIS_PASSWORD_${user.toUpperCase()}`]: "mistaken" });
      assert.equal(ended.status, 4, ended.err);
      assertOneLine(ended, /Redis at/, new RegExp(user), /WRONGPASS/, /users\.acl|REDIS_PASSWORD/);
      assert.doesNotMatch(ended.err, /mistaken/);
    }
  });

  test("a database without the schema, and one that does not exist", async () => {
    await using bare = await startServers({ coordinatorUrl: "http://127.0.0.1:9", only: ["mysql"] });
    const connection = await mysql.createConnection(bare.mysql!.url);
    await connection.query("DROP TABLE ledger");
    await connection.end();
    const absent = changed(bare.mysql!.url, (url) => {
      url.pathname = "/no_such_one";
    });
    for (const [url, reason, fix] of [
      [bare.mysql!.url, /ledger' doesn't exist/, /schema\.sql/],
      [absent, /Unknown database|Access denied/, /MYSQL_URL|schema\.sql/],
    ] as const) {
      const ended = await holdfast(short, { ...whole, MYSQL_URL: url });
      assert.equal(ended.status, 4, ended.err);
      assertOneLine(ended, reason, fix);
    }
  });

  test("a port that is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const ended = await holdfast(short, { ...whole, HOLDFAST_LISTEN: `127.0.0.1:${port}` });
    taken.close();
    assert.equal(ended.status, 4, ended.err);
    assertOneLine(ended, new RegExp(`127\\.0\\.0\\.1:${port}`), /EADDRINUSE/, /HOLDFAST_LISTEN/);
  });

  test("a Prometheus that does not scrape the workers makes the report unknown, with the reason", async () => {
    // Long enough for the worker to be ready on a busy machine, so that only the scrape is missing.
    const ended = await holdfast([...short, "--start-deadline", "25s", "--json"], whole);
    assert.equal(ended.status, 3, ended.err);
    const report = Report.parse(JSON.parse(ended.out));
    assert.match(JSON.stringify(report.runs[0]!.data), /not scraped by Prometheus/);
    assert.deepEqual(workerProcesses(report.report), []);
  });
});

describe("a whole run with private servers", () => {
  const two = ["--strategies", "none,row-lock", "--duration", "1s", "--workers", "3"];

  test("compare: five strategies, and all is as theory expects", async () => {
    // Passwords for other servers must not reach the private ones.
    const passwords = { MYSQL_PASSWORD: "other", REDIS_PASSWORD_LOCK: "other", PROMETHEUS_PASSWORD: "other" };
    const ended = await holdfast(["--json", "--duration", "2s"], passwords);
    assert.equal(ended.status, 0, `${ended.err}\n${ended.out}`);
    const report = Report.parse(JSON.parse(ended.out));
    assert.deepEqual(
      report.runs.map(({ strategy, data }) => [strategy, data.value]),
      [
        ["none", "violated"],
        ["memory", "violated"],
        ["redis", "holds"],
        ["row-lock", "holds"],
        ["version", "holds"],
      ],
    );
    assert.ok(report.acl.length > 10 && report.acl.every(({ outcome }) => outcome === "refused"));
    for (const run of report.runs)
      for (const row of run.reconciliation) {
        assert.equal(row.prometheus, row.ledger);
        assert.equal(row.reported, row.ledger);
      }
    const kept = JSON.parse(await readFile(join(folder, "reports", report.report, "report.json"), "utf8"));
    assert.deepEqual(kept, JSON.parse(ended.out), "the file holds what was printed");
    await assertNothingLeft(report.report);
  });

  test("without a positive control the report is unknown; the coordinator can listen on IPv6", async () => {
    const HOLDFAST_LISTEN = `[::1]:${await freePort()}`;
    const ended = await holdfast(["--json", "--strategies", "row-lock", "--duration", "1s"], { HOLDFAST_LISTEN });
    assert.equal(ended.status, 3, ended.err);
    const report = Report.parse(JSON.parse(ended.out));
    assert.match(report.verdict.reasons.join(), /control/);
    assert.ok(
      report.runs[0]!.reconciliation.every(({ prometheus, ledger }) => prometheus === ledger),
      "counts",
    );
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    test(`${signal} in a run: a partial report, exit status 3, nothing left`, async () => {
      const child = start([...two, "--duration", "20s", "--json"]);
      const ended = end(child);
      await workersOfReport(child);
      await sleep(2_000);
      child.kill(signal);
      const { status, out, err } = await ended;
      assert.equal(status, 3, err);
      const report = Report.parse(JSON.parse(out));
      assert.match(report.verdict.line + JSON.stringify(report.skipped), new RegExp(signal));
      assert.equal(report.skipped[0]?.strategy, "row-lock");
      await assertNothingLeft(report.report);
    });

  test("kill -9 of the coordinator: workers and servers end by themselves, and no folder is left", async () => {
    const child = start([...two, "--duration", "20s"]);
    child.stdout!.resume();
    child.stderr!.resume();
    const workers = await workersOfReport(child);
    child.kill("SIGKILL");
    await once(child, "exit");
    const deadline = performance.now() + 20_000;
    while (workers.some(alive) && performance.now() < deadline) await sleep(200);
    assert.deepEqual(workers.filter(alive), []);
    await assertNothingLeft("");
  });
});

const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Waits until the workers of this command run; its report is the newest, and other commands may run at the same time. */
async function workersOfReport(child: ChildProcess): Promise<number[]> {
  const before = new Set(await reports());
  const deadline = performance.now() + 60_000;
  for (;;) {
    const [report] = (await reports()).filter((name) => !before.has(name));
    const workers = report === undefined ? [] : workerProcesses(report);
    if (workers.length > 0) return workers;
    assert.equal(child.exitCode, null, "the command ended before the test could do anything");
    assert.ok(performance.now() < deadline, "waited for too long");
    await sleep(100);
  }
}

const reports = () => readdir(join(folder, "reports")).catch(() => [] as string[]);

/** Checks only this test's own temporary folder, so other tests do not matter. */
async function assertNothingLeft(report: string) {
  const deadline = performance.now() + 15_000;
  const left = async () => (await readdir(folder)).filter((name) => name !== "reports");
  while ((await left()).length > 0 && performance.now() < deadline) await sleep(200);
  assert.deepEqual(await left(), []);
  if (report !== "") assert.deepEqual(workerProcesses(report), []);
}
