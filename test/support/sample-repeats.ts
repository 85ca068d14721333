/** Reports with repeats, made from the runs of the sample report. */
import { repeatsOf } from "../../coordinator/judge/repeats.ts";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { judgeReport } from "../../coordinator/judge/report-verdict.ts";
import { sampleReport } from "./sample-report.ts";

/** `throughputs`: committed operations a second of each repeat, by strategy of the sample report. */
export function repeatedReport(
  throughputs: Readonly<Record<string, readonly number[]>>,
  change: (run: RunReport) => RunReport = (run) => run,
): Report {
  const sample = sampleReport();
  const some = sample.runs.filter(({ strategy }) => strategy in throughputs);
  const repeats = Math.max(...Object.values(throughputs).map(({ length }) => length));
  const runs = Array.from({ length: repeats }, (_, index) =>
    some.flatMap((run, position) => {
      const throughput = throughputs[run.strategy]![index];
      if (throughput === undefined) return [];
      const seed = 1 + position + index * some.length;
      const made = { ...run, run: `${run.run}-${index + 1}`, plan: { ...run.plan, seed }, throughput };
      return [change(repeats === 1 ? made : { ...made, repeat: index + 1 })];
    }),
  ).flat();
  const summary = repeatsOf(runs);
  return {
    ...sample,
    runs,
    ...(summary === undefined ? {} : { repeats: summary }),
    verdict: judgeReport(runs),
  };
}
