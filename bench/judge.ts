/** The process that judging.ts measures: reads the ledger of the run `bench`, judges it, and makes the report. */
import { createDatabase } from "../coordinator/clients/mysql.ts";
import type { Evidence } from "../coordinator/judge/evidence.ts";
import { judgeReport } from "../coordinator/judge/report-verdict.ts";
import { judge } from "../coordinator/judge/run-verdict.ts";
import { summarize } from "../coordinator/judge/summarize.ts";
import { nameRuns, planRuns } from "../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../coordinator/plan/settings.ts";
import { formatReport } from "../coordinator/report/text.ts";
import type { WorkerFinal } from "../worker/contract.ts";

const [url = "", count = ""] = process.argv.slice(2);
const rows = Number(count);
const begun = performance.now();
const seconds = (since: number) => Number(((performance.now() - since) / 1_000).toFixed(2));
const database = createDatabase({ MYSQL_URL: url });
const { final, ledger, writers } = await database.snapshot("bench");
const readSeconds = seconds(begun);

const { settings, options } = readRunOptions({ strategies: ["row-lock"], duration: "60s" });
const plan = { ...nameRuns("bench", planRuns(settings))[0]!, run: "bench" };
const each = rows / 4;
const workers = [0, 1, 2, 3].map((index) => ({ index, uid: `uid-${index}`, node: "local", final: finalOf(index) }));
const evidence: Evidence = {
  plan,
  initial: [{ id: 1, version: 1, salary: 100_000, lastOp: 0 }],
  final,
  ledger,
  writers,
  workers,
  prometheus: {
    workers: workers.map(({ index, uid }) => ({
      ...{ worker: index, uid, committed: each, rejected: 0, unknown: 0, raised: each * 7, naive: 0 },
    })),
    operation: { count: rows },
    lockWait: { count: 0 },
  },
  problems: [],
};
const judging = performance.now();
const judgement = judge(evidence);
const judgeSeconds = seconds(judging);
const run = summarize(evidence, judgement, new Date(), new Date());
const now = new Date().toISOString();
const text = formatReport(
  {
    ...{
      schema: "holdfast/report/v2",
      report: "bench",
      version: "0",
      scenario: "compare",
      startedAt: now,
      endedAt: now,
    },
    ...{ where: "bench", options, environment: {}, acl: [], runs: [run], skipped: [], verdict: judgeReport([run]) },
  },
  { color: false, width: 120 },
);
await database.close();
process.stdout.write(
  JSON.stringify({
    verdict: judgement.data.value,
    "read, s": readSeconds,
    "judge, s": judgeSeconds,
    "whole, s": seconds(begun),
    "largest resident memory, MB": Math.round(process.resourceUsage().maxRSS / 1_000),
    "report, characters": text.length,
  }),
);

function finalOf(index: number): WorkerFinal {
  return {
    ...{ committed: each, rejected: 0, unknown: 0, raised: each * 7, naive: 0, releaseFailures: 0, errors: [] },
    ...{ startedAtUs: 1, endedAtUs: 60e6, residentBytes: 0 },
    writers: [
      {
        writer: index + 1,
        attempted: each,
        acknowledged: Buffer.alloc(Math.ceil(each / 8), 255).toString("base64"),
        unknown: [],
      },
    ],
  };
}
