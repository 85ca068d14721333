import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Report, type RunReport } from "../../../coordinator/judge/report-data.ts";
import { createEventRecorder } from "../../../coordinator/platform/kubernetes/events.ts";
import { createReportStore, PAGE_KEY, runsOf } from "../../../coordinator/platform/kubernetes/report-store.ts";
import {
  JSON_BYTES_MAX,
  PAGE_BYTES_MAX,
  packPage,
  shrinkFiles,
  shrinkRuns,
  TEXT_BYTES_MAX,
} from "../../../coordinator/platform/kubernetes/shrink-report.ts";
import { reportFiles } from "../../../coordinator/report/files.ts";
import { sampleReport } from "../../support/sample-report.ts";
import { startFakeApi } from "./fake-api.ts";
import { putCoordinator, settings } from "./settings.ts";

const SETTINGS = settings();
const UID = SETTINGS.HOLDFAST_JOB_UID;
const REPORT = sampleReport();
const FILES = {
  "report.json": JSON.stringify(REPORT),
  "report.md": "# md",
  "report.html": "<html/>",
  "junit.xml": "<x/>",
  "report.txt": "the report",
};

test("progress is read as it was saved, with one merge patch", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  const store = createReportStore(fake.api, SETTINGS);
  await store.saveProgress(UID, REPORT.runs.slice(0, 2), "0a1b2c3d-3-redis");
  const stored = await store.read();
  assert.deepEqual(runsOf(stored!), REPORT.runs.slice(0, 2));
  assert.deepEqual(
    [stored?.state?.current, stored?.state?.report, stored?.state?.jobUid],
    ["0a1b2c3d-3-redis", "0a1b2c3d", UID],
  );
  const patch = fake.requests.find(({ line }) => line === "PATCH configmaps/demo-report");
  assert.equal(patch?.contentType, "application/merge-patch+json");
});

test("report and verdict are saved together, and the finished runs can be read from the report", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  const store = createReportStore(fake.api, SETTINGS);
  await store.saveProgress(UID, REPORT.runs.slice(0, 1), undefined);
  assert.deepEqual(await store.saveReport(UID, FILES, { exitCode: 0, line: "as expected", final: true }), []);
  const stored = await store.read();
  assert.deepEqual(stored?.state?.verdict, { exitCode: 0, line: "as expected", final: true });
  assert.equal(stored?.files["report.txt"], "the report");
  assert.equal(runsOf(stored!).length, REPORT.runs.length);
  assert.equal(fake.requests.filter(({ line }) => line.startsWith("PATCH")).length, 2);
});

test("data of another version are no state, and clearing leaves nothing", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  const store = createReportStore(fake.api, SETTINGS);
  fake.objects.configmaps.get("demo-report").data = { "state.json": '{"schema":"v0"}', "report.txt": "old" };
  assert.equal((await store.read())?.state, undefined);
  await store.clear();
  assert.deepEqual(fake.objects.configmaps.get("demo-report").data, {});
  fake.objects.configmaps.clear();
  await store.clear();
  assert.equal(await store.read(), undefined);
});

test("the report survives an upgrade of the API server", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  fake.fail(/^PATCH/, 500, "restarting", 3);
  await createReportStore(fake.api, SETTINGS).saveReport(UID, FILES, { exitCode: 1, line: "violated", final: true });
  assert.equal(fake.objects.configmaps.get("demo-report").data["report.txt"], "the report");
});

test("a report that is too large loses its logs first, then the rest, with a note", () => {
  const [run] = REPORT.runs as [RunReport];
  const row = { ...run.reconciliation[0]!, log: "x".repeat(4_000), lost: "exited with 1" };
  const logs = { ...REPORT, runs: [{ ...run, reconciliation: Array.from({ length: 300 }, () => row) }] };
  const fitted = shrinkFiles({ ...FILES, "report.json": JSON.stringify(logs) });
  assert.ok(Buffer.byteLength(fitted["report.json"]!) < JSON_BYTES_MAX);
  const [kept] = Report.parse(JSON.parse(fitted["report.json"]!)).runs;
  assert.equal(kept?.reconciliation.length, 300);
  assert.equal(kept?.reconciliation[0]?.log?.length, 500);
  assert.match(kept?.problems.at(-1) ?? "", /^logs were cut to fit/);

  const { log: _, ...bare } = row;
  const well = { ...bare, lost: undefined, prometheus: 7, reported: 7, ledger: 7, uid: "u".repeat(200) };
  const large = { ...run, reconciliation: [bare, ...Array.from({ length: 3_000 }, () => well)] };
  const [trouble] = shrinkRuns([large]);
  assert.deepEqual(trouble?.reconciliation, [bare]);
  assert.match(trouble?.problems.at(-1) ?? "", /workers whose three counts agree were cut/);
});

test("the page is stored compressed; without its data, or not at all, where it is too large", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  const store = createReportStore(fake.api, SETTINGS);
  const files = reportFiles(sampleReport());
  assert.deepEqual(await store.saveReport(UID, files, { exitCode: 0, line: "held", final: true }), []);
  const stored = fake.objects.configmaps.get("demo-report").binaryData[PAGE_KEY];
  assert.equal(gunzipSync(Buffer.from(stored, "base64")).toString(), files["report.html"]);

  const noise = randomBytes(PAGE_BYTES_MAX).toString("base64");
  const bare = packPage({ ...files, "report.html": files["report.html"] + noise })!;
  assert.ok(bare.length <= PAGE_BYTES_MAX);
  assert.doesNotMatch(gunzipSync(bare).toString(), /application\/json/);
  const huge = sampleReport();
  huge.environment.noise = noise;
  assert.equal(packPage(reportFiles(huge)), undefined);
  const cut = await store.saveReport(UID, reportFiles(huge), { exitCode: 0, line: "held", final: true });
  assert.ok(cut.includes("report.html"), "the coordinator says that it was left out");
  assert.equal(fake.objects.configmaps.get("demo-report").binaryData?.[PAGE_KEY], undefined);
});

test("long texts are cut at a line with a note; a JUnit file that is too long is left out", () => {
  const long = "a line of a report\n".repeat(20_000);
  const fitted = shrinkFiles({ ...FILES, "report.txt": long, "junit.xml": long });
  assert.ok(Buffer.byteLength(fitted["report.txt"]!) <= TEXT_BYTES_MAX);
  assert.match(fitted["report.txt"]!, /a line of a report\n\n\[cut to fit into a ConfigMap; .*\]\n$/);
  assert.equal(fitted["junit.xml"], undefined);
});

test("events are written in order; a refusal causes one warning and stops nothing", async () => {
  await using fake = await startFakeApi();
  const warnings: string[] = [];
  const recorder = createEventRecorder(fake.api, SETTINGS, (line) => warnings.push(line));
  recorder.record("RunStarted", "redis");
  recorder.record("Verdict", "x".repeat(3_000));
  await recorder.flush();
  const events = [...fake.objects.events.values()];
  assert.deepEqual(
    events.map(({ reason }) => reason),
    ["RunStarted", "Verdict"],
  );
  assert.deepEqual([events[0].regarding.uid, events[0].regarding.kind, events[0].type], [UID, "Job", "Normal"]);
  assert.match(events[0].eventTime, /\.\d{6}Z$/);
  assert.equal(events[1].note.length, 1_000);
  fake.fail(/^POST events/, 403, "events is forbidden", 2);
  recorder.record("RunStarted", "again");
  recorder.record("RunStarted", "and again");
  await recorder.flush();
  assert.equal(warnings.length, 1);
});
