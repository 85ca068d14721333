/** What a server does during a run that may explain its result stands in the report: real servers that misbehave. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createPrometheus } from "../../coordinator/clients/prometheus.ts";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { waitUntil } from "../../coordinator/wait.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { createRig, type Rig } from "../support/rig.ts";

let rig: Rig;
before(async () => {
  rig = await createRig();
});
after(() => rig[Symbol.asyncDispose]());

/** The variables for a Redis of a test, whose passwords are the names of the users. */
const variablesOf = (redis: TestRedis) => ({
  REDIS_URL: `redis://127.0.0.1:${redis.port}`,
  ...Object.fromEntries(REDIS_USERS.map((user) => [`REDIS_PASSWORD_${user.toUpperCase()}`, user])),
});

/** A note explains a result: it is among the reasons of a run that is not as expected. */
function assertNoted({ notes = [], reasons, agreement }: RunReport, note: RegExp) {
  const found = notes.filter((text) => note.test(text));
  assert.equal(found.length, 1, JSON.stringify(notes));
  if (agreement !== "expected") assert.ok(reasons.includes(found[0]!), JSON.stringify(reasons));
}

test("a Redis that evicts keys: the report has their number and the policy", async () => {
  const redis = await startRedis(["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random"]);
  let filled = 0;
  const report = await rig.run(
    "redis",
    { durationMs: 2_000, holdMs: 20 },
    {
      environment: variablesOf(redis),
      async whileRunning() {
        const pipeline = redis.admin.pipeline();
        for (let key = 0; key < 2_000; key += 1) pipeline.set(`filler:${filled++}`, "x".repeat(1_000));
        await pipeline.exec();
      },
    },
  );
  await redis.stop();
  assertNoted(
    report,
    /^Redis evicted [\d,]+ keys during this run \(maxmemory-policy allkeys-random\): it may have evicted the lock$/,
  );
  assert.equal(report.servers?.before.redis?.maxmemory_policy, "allkeys-random");
  assert.ok(Number(report.servers?.after.redis?.evicted_keys) > 0);
});

test("a Redis that restarts, is flushed and evicts nothing: each is named once", async () => {
  const redis = await startRedis();
  let step = 0;
  const report = await rig.run(
    "redis",
    { durationMs: 3_000 },
    {
      environment: variablesOf(redis),
      async whileRunning() {
        step += 1;
        if (step === 1) {
          await redis.kill();
          await redis.start();
        }
        if (step === 2) await redis.admin.flushall();
      },
    },
  );
  await redis.stop();
  assertNoted(report, /^Redis restarted during this run \(aof_enabled 0\): it may have lost locks that were held$/);
  assertNoted(report, /^Redis was flushed 1 time during this run/);
  assert.equal(report.notes?.length, 2);
});

test("notes on Redis are left out of a run without Redis, and servers without events have no notes", async () => {
  const redis = await startRedis();
  const report = await rig.run("row-lock", {}, { environment: variablesOf(redis), whileRunning: () => redis.kill() });
  await redis.stop();
  assert.equal(report.notes, undefined);
  assert.equal(report.servers?.after.mysql?.engine, "InnoDB");
});

test("workers that two jobs scrape: the newest series counts, and the report says that there were two", async () => {
  // The name of the slow job is the first in every order. Its last scrape misses what came after.
  await using prometheus = await startPrometheus(["a-slow 3s", "holdfast 500ms"]);
  const report = await rig.run(
    "row-lock",
    {},
    { prometheus: () => createPrometheus({ PROMETHEUS_URL: prometheus.url }) },
  );
  assert.equal(report.agreement, "expected", JSON.stringify(report.reasons));
  assert.equal(report.operations?.committed, report.ledgerRows);
  assert.equal(
    report.operationSeconds?.count,
    report.ledgerRows + report.operations!.rejected + report.operations!.unknown,
  );
  assertNoted(report, /^Prometheus has 2 series of a worker, which differ in job: the newest was used/);
});

/** A Prometheus with jobs `name interval`, which all discover the same workers. */
async function startPrometheus(jobs: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-prometheus-"));
  const port = await freePort();
  const configs = jobs.map((job) => {
    const [name, interval] = job.split(" ");
    const discovery = `http_sd_configs: [{ url: "${rig.coordinatorUrl}/targets", refresh_interval: 1s }]`;
    return `  - { job_name: ${name}, scrape_interval: ${interval}, scrape_timeout: 400ms, ${discovery} }`;
  });
  await writeFile(join(folder, "prometheus.yml"), `scrape_configs:\n${configs.join("\n")}\n`);
  const options = [`--web.listen-address=127.0.0.1:${port}`, "--scrape.discovery-reload-interval=200ms"];
  const child = spawn("prometheus", ["--config.file=prometheus.yml", ...options], { cwd: folder, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  const ready = () => fetch(`${url}/-/ready`).then(({ ok }) => (ok ? undefined : "not ready"), String);
  await waitUntil(ready, { deadlineMs: 20_000, signal: new AbortController().signal });
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
