/** `holdfast page`: makes the page of a report that was made before. */
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConfigError } from "../../errors.ts";
import { Report } from "../../judge/report-data.ts";
import { renderPage } from "../../report/page/index.ts";

export interface PageOptions {
  readonly file: string;
  /** If left out, report.html in the folder of the report. */
  readonly out: string | undefined;
}

/**
 * Reads report.json, writes the page and prints its path. Returns exit status 0. Throws ConfigError if the one cannot be
 * read, is no report of this version's schema, or the other cannot be written.
 */
export async function writePage({ file, out: wanted }: PageOptions): Promise<number> {
  const out = wanted ?? join(dirname(file), "report.html");
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new ConfigError(`cannot read ${file}: ${error.message}; name the report.json of a report`);
  });
  const page = renderPage(parseReport(file, text), { withData: true });
  await writeFile(out, page).catch((error: Error) => {
    throw new ConfigError(`cannot write ${out}: ${error.message}; choose another file with --out`);
  });
  process.stdout.write(`${out}\n`);
  return 0;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function parseReport(file: string, text: string): Report {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${file} is not JSON: ${(error as Error).message}; name the report.json of a report`);
  }
  const parsed = Report.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConfigError(
    `${file} is no report that this version of Holdfast can read: ${issue?.path.join(".")}: ${issue?.message}; use the version that made it`,
  );
}
