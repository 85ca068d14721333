/** Where histories are kept on a cluster: in a volume of the user's, because a ConfigMap is too small for the ledger. */
import { join } from "node:path";
import { ConfigError } from "../../errors.ts";
import type { Report } from "../../judge/report-data.ts";
import { createHistoryFolder, writeReportFiles } from "../report-folder.ts";

/** The folder of this report in the volume; undefined without one. Throws ConfigError if it cannot be written. */
export async function openHistory(mountPath: string | undefined, report: string) {
  if (mountPath === undefined) return undefined;
  const folder = join(mountPath, report);
  const history = await createHistoryFolder(folder).catch((error: Error) => {
    throw new ConfigError(
      `cannot write the history: ${error.message}; make the volume of history.volume writable for the coordinator (coordinator.podSecurityContext)`,
    );
  });
  return {
    saveRun: history.saveRun,
    /** The whole report as well: in the ConfigMap a large one is cut. */
    async saveReport(finished: Report) {
      await writeReportFiles(folder, finished);
      await history.saveReport(finished);
    },
  };
}
