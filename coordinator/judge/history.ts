/**
 * The history of a report: the evidence of each run, and of the report what is observed and not computed. Files of JSON
 * lines, described in docs/history.md. Pure: text in, text out.
 */
import * as z from "zod";
import { RunPlan } from "../plan/run-plan.ts";
import {
  EmployeeState,
  type Evidence,
  PrometheusEvidence,
  ServerFaultTime,
  WorkerEvidence,
  Writer,
} from "./evidence.ts";
import { createLedgerBuilder, LEDGER_COLUMNS, type LedgerBuilder, rowAt } from "./ledger.ts";
import { type Report, ReportFacts, ServersOfRun } from "./report-data.ts";

const Schema = z.literal("holdfast/history/v1").describe("Name and version of this schema");
export const HISTORY_SCHEMA = Schema.value;

/** The folder of a history beside report.json, and its file of the report. */
export const HISTORY_FOLDER = "history";
export const REPORT_FILE = "report.jsonl.gz";
/** The file of a run. */
export const historyFile = (run: string) => `run-${run}.jsonl.gz`;

/** The name of a run is in that of its file. */
const RunName = z.string().regex(/^[\w.+-]+$/, "is not the name of a run");

/** The only line of the file of the report: what no run has, and the names of the runs. */
export const ReportLine = ReportFacts.extend({
  type: z.literal("report").describe("What the line is"),
  schema: Schema,
  runs: z.array(RunName).describe("Names of the runs that were made, in order; each has a file"),
});
export type ReportLine = Readonly<z.infer<typeof ReportLine>>;

/** Not a number in the database: JSON has no NaN. */
const column = (meaning: string) => z.number().nullable().describe(`${meaning}; null if the database had no number`);

const WriteLine = z.strictObject({
  type: z.literal("write").describe("What the line is"),
  employee: column("Id of the employee that was changed"),
  op: column("Id of the operation: writer × 2^28 + its sequence number from 1 on"),
  readOp: column("Id of the operation that had written what this one read"),
  readVersion: column("Version that was read"),
  newVersion: column("Version that was written, counted by the database"),
  readSalary: column("Salary that was read, salary units"),
  newSalary: column("Salary that was written, salary units"),
  raise: column("The raise that was granted, salary units"),
  fence: column("Fencing token of the writer; 0 if it held none"),
  readAtUs: column("Time of the read, microseconds since 1970, by the clock of the database"),
  writtenAtUs: column("Time of the write, before its COMMIT, microseconds since 1970, by the same clock"),
});

const lineCount = (of: string) => z.int().nonnegative().describe(`Lines with ${of}`);

/** The lines of the file of a run by their type, in the order in which they are written. */
export const RUN_LINES = {
  run: z.strictObject({
    type: z.literal("run").describe("What the line is; this one is the first"),
    schema: Schema,
    startedAt: z.iso.datetime().describe("Start of the run, UTC, by the clock of the coordinator"),
    endedAt: z.iso.datetime().describe("Time of the verdict, by the same clock"),
    plan: RunPlan.describe("What was planned, and what theory expects"),
    lines: z
      .strictObject({
        employee: lineCount("rows before and after the run"),
        writer: lineCount("writers"),
        worker: lineCount("workers"),
        prometheus: lineCount("the samples of Prometheus: 1, or 0 if it had no complete numbers").max(1),
        servers: lineCount("the state of the servers: 1, or 0 if they were not asked").max(1),
        serverFault: lineCount("faults of the servers"),
        problem: lineCount("problems of the run"),
        write: lineCount("rows of the ledger"),
      })
      .describe("How many lines of each type follow"),
  }),
  employee: EmployeeState.extend({
    type: z.literal("employee").describe("What the line is"),
    at: z
      .enum(["start", "end"])
      .describe("start: before the first operation; end: after the last one. There are none of the end if not read"),
  }),
  writer: Writer.extend({ type: z.literal("writer").describe("What the line is") }),
  worker: WorkerEvidence.extend({ type: z.literal("worker").describe("What the line is") }),
  prometheus: PrometheusEvidence.extend({ type: z.literal("prometheus").describe("What the line is") }),
  servers: ServersOfRun.extend({ type: z.literal("servers").describe("What the line is") }),
  serverFault: ServerFaultTime.extend({ type: z.literal("serverFault").describe("What the line is") }),
  problem: z.strictObject({
    type: z.literal("problem").describe("What the line is"),
    text: z.string().describe("What went wrong with the run itself, one sentence"),
  }),
  write: WriteLine,
} as const;

type Lines = { readonly [Type in keyof typeof RUN_LINES]: z.infer<(typeof RUN_LINES)[Type]> };

/** All that the verdict on one run is made of. */
export interface RecordedRun {
  readonly evidence: Evidence;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

/** The line of the report's own file. */
export function reportLine({ runs, repeats: _, verdict: __, schema: ___, ...facts }: Report): string {
  const line: ReportLine = { type: "report", ...facts, schema: HISTORY_SCHEMA, runs: runs.map(({ run }) => run) };
  return `${JSON.stringify(line)}\n`;
}

/** The lines of the file of a run, several in each text: a million lines one by one take longer to compress. */
export function* runLines(recorded: RecordedRun): Generator<string> {
  let text = "";
  for (const line of listLines(recorded)) {
    text += `${JSON.stringify(line)}\n`;
    if (text.length < TEXT_LENGTH) continue;
    yield text;
    text = "";
  }
  yield text;
}
const TEXT_LENGTH = 64 * 1_024;

/** Throws an Error that says in one sentence what is wrong with the text. */
export const parseReportLine = (text: string): ReportLine => parseFirst(ReportLine, text);

/** Reads the file of a run line by line. Each method throws an Error that says in one sentence what is wrong. */
export interface RunReader {
  add(line: string): void;
  /** Returns the run, once all lines were added. */
  finish(): RecordedRun;
}

/** `writesMax`: more rows than that are not reserved at once, whatever the first line says. */
export function createRunReader(writesMax: number): RunReader {
  let header: Lines["run"] | undefined;
  let ledger: LedgerBuilder;
  /** One for all rows: `seq`, which the order of the lines stands for, and the columns. */
  const values = [0, ...LEDGER_COLUMNS.map(() => 0)];
  const read: { [Type in Exclude<keyof Lines, "run" | "write">]: Omit<Lines[Type], "type">[] } = {
    employee: [],
    writer: [],
    worker: [],
    prometheus: [],
    servers: [],
    serverFault: [],
    problem: [],
  };
  const counts = { employee: 0, writer: 0, worker: 0, prometheus: 0, servers: 0, serverFault: 0, problem: 0, write: 0 };

  function addWrite(line: Lines["write"]) {
    LEDGER_COLUMNS.forEach((name, index) => {
      values[index + 1] = line[name] ?? Number.NaN;
    });
    ledger.append(values);
  }

  return {
    add(text) {
      if (header === undefined) {
        header = parseFirst(RUN_LINES.run, text);
        ledger = createLedgerBuilder(Math.min(header.lines.write, writesMax));
        return;
      }
      const data = parseJson(text) as { readonly type?: unknown } | null;
      const type = Object.keys(counts).find((known) => known === data?.type) as keyof typeof counts | undefined;
      if (type === undefined) throw new Error(`is of no type of this schema: ${JSON.stringify(data?.type)}`);
      counts[type]++;
      if (type === "write") return addWrite(check(RUN_LINES.write, data));
      const { type: _, ...line } = check<Lines[typeof type]>(RUN_LINES[type], data);
      (read[type] as unknown[]).push(line);
    },
    finish() {
      if (header === undefined) throw new Error("is empty");
      for (const [type, count] of Object.entries(counts)) {
        const planned = header.lines[type as keyof typeof counts];
        if (count !== planned)
          throw new Error(
            `has ${count} lines of type "${type}", and its first line says ${planned}: it was cut or changed`,
          );
      }
      const employees = (when: "start" | "end") =>
        read.employee.filter(({ at }) => at === when).map(({ at: _, ...employee }) => employee);
      const evidence = {
        plan: header.plan,
        initial: employees("start"),
        final: employees("end"),
        ledger: ledger.finish(),
        writers: read.writer,
        workers: read.worker,
        prometheus: read.prometheus[0],
        servers: read.servers[0],
        ...(header.plan.serverFaults === undefined ? {} : { serverFaults: read.serverFault }),
        problems: read.problem.map(({ text }) => text),
      };
      return { evidence, startedAt: new Date(header.startedAt), endedAt: new Date(header.endedAt) };
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function* listLines({ evidence, startedAt, endedAt }: RecordedRun): Generator<Lines[keyof Lines]> {
  const { plan, initial, final, ledger, writers, workers, prometheus, servers, serverFaults = [], problems } = evidence;
  yield {
    type: "run",
    schema: HISTORY_SCHEMA,
    startedAt: startedAt.toISOString(),
    endedAt: endedAt.toISOString(),
    plan,
    lines: {
      employee: initial.length + final.length,
      writer: writers.length,
      worker: workers.length,
      prometheus: prometheus === undefined ? 0 : 1,
      servers: servers === undefined ? 0 : 1,
      serverFault: serverFaults.length,
      problem: problems.length,
      write: ledger.length,
    },
  };
  for (const employee of initial) yield { type: "employee", at: "start", ...employee };
  for (const employee of final) yield { type: "employee", at: "end", ...employee };
  for (const writer of writers) yield { type: "writer", ...writer };
  for (const worker of workers) yield { type: "worker", ...worker };
  if (prometheus !== undefined) yield { type: "prometheus", ...prometheus };
  if (servers !== undefined) yield { type: "servers", ...servers };
  for (const fault of serverFaults) yield { type: "serverFault", ...fault };
  for (const text of problems) yield { type: "problem", text };
  // JSON.stringify writes NaN as null.
  for (let row = 0; row < ledger.length; row++) yield { type: "write", ...rowAt(ledger, row) };
}

/** Reads the first line of a file, which names the schema. */
function parseFirst<T>(schema: z.ZodType<T>, text: string): T {
  const data = parseJson(text);
  const named = (data as { readonly schema?: unknown } | null)?.schema;
  if (typeof named !== "string" || !named.startsWith("holdfast/history/"))
    throw new Error("is not of a history of Holdfast");
  if (named !== HISTORY_SCHEMA)
    throw new Error(
      `has the schema ${named}, and this version of Holdfast reads ${HISTORY_SCHEMA}: use the version that wrote it`,
    );
  return check(schema, data);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`is not JSON: ${(error as Error).message}`);
  }
}

function check<T>(schema: z.ZodType<T>, data: unknown): T {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`does not fit the schema: ${issue!.path.join(".")}: ${issue!.message}`);
}
