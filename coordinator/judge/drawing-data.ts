/** What the page of a report draws of one run, besides the numbers that its other forms have: a part of `report.json`. */
import * as z from "zod";

const DrawnOperation = z.strictObject({
  op: z.int().describe("Id of the operation, as in the column op of the ledger"),
  worker: z.int().describe("Index of the worker; -1 if the writer is not registered"),
  employee: z.int().optional().describe("Id of its row; absent where it is that of the window"),
  loop: z.int().describe("Index of the loop in its worker, from 0"),
  readAfterUs: z.int().describe("Its read, microseconds after the start of the window"),
  writtenAfterUs: z.int().describe("Its write, microseconds after the start of the window"),
  readVersion: z.int().describe("The version that it read"),
  newVersion: z.int().describe("The version that it wrote"),
  newSalary: z.int().describe("The salary that it wrote"),
  raise: z.int().describe("Its raise, salary units"),
  fence: z.int().optional().describe("Its fencing token; absent without one"),
  stale: z.literal(true).optional().describe("Its write was not based on the version before it; absent where it was"),
  overwrittenBy: z
    .int()
    .optional()
    .describe("Id of the operation of this window whose stale write erased its own; absent if none did"),
});
export type DrawnOperation = z.infer<typeof DrawnOperation>;

const DrawnWindow = z.strictObject({
  shows: z
    .enum(["violation", "densest"])
    .describe("violation: operations around a witness; densest: those of a run that held which were closest in time"),
  texts: z.array(z.string()).describe("The witnesses that it shows, one sentence each; empty in a densest window"),
  employee: z.int().describe("Id of the row"),
  startedAtUs: z.number().describe("Start of the window, microseconds since 1970, by the clock of the database"),
  omitted: z
    .int()
    .describe("Operations between the first and the last one that are left out because they are too many"),
  operations: z.array(DrawnOperation).describe("The operations in the order of their writes"),
});
export type DrawnWindow = z.infer<typeof DrawnWindow>;

export const Drawing = z.strictObject({
  startedAtUs: z
    .number()
    .describe("Start of the first bin, microseconds since 1970, by the clock of the database: the fleet's start"),
  binSeconds: z.number().describe("Length of one bin, seconds"),
  committed: z
    .array(z.array(z.int()))
    .describe("For each worker by its index, the rows of the ledger that it wrote in each bin"),
  rejected: z
    .array(z.int())
    .optional()
    .describe(
      "Rejected operations of all workers in each bin, as the workers counted them; absent where none was rejected, or a worker did not report when",
    ),
  longestGap: z
    .strictObject({
      afterSeconds: z.number().describe("Its start, seconds after the start of the first bin"),
      seconds: z.number().describe("Its length, seconds"),
    })
    .describe("The longest time in which nothing was written"),
  windows: z
    .array(DrawnWindow)
    .describe("Operations up close: one window, or up to three if the run is not as expected"),
});
export type Drawing = z.infer<typeof Drawing>;
