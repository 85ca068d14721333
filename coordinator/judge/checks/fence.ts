import { outOf } from "../../text/format.ts";
import type { Evidence } from "../evidence.ts";
import type { CheckResult, Witness } from "../report-data.ts";
import { employeePrefix } from "./version-order.ts";
import { createNamer, WITNESSES } from "./witnesses.ts";

/**
 * Fencing tokens strictly increase along the ledger of each employee: an equal or older one means that two owners
 * shared a token or that somebody wrote after the lock had gone to the next. It says nothing about what a writer read
 * before it wrote with a good token. Rows without a token are passed over.
 */
export function fence(evidence: Evidence): CheckResult {
  const { ledger } = evidence;
  const newest = new Map<number, number>();
  const witnesses: Witness[] = [];
  let tokens = 0;
  let count = 0;
  for (let row = 0; row < ledger.length; row++) {
    const token = ledger.fence[row]!;
    if (token === 0) continue;
    tokens++;
    const before = newest.get(ledger.employee[row]!);
    const older = before === undefined ? undefined : ledger.fence[before]!;
    if (older === undefined || token > older) {
      newest.set(ledger.employee[row]!, row);
      continue;
    }
    count++;
    if (witnesses.length === WITNESSES) continue;
    const both = [ledger.op[before!]!, ledger.op[row]!] as const;
    const name = createNamer(evidence);
    const text = `${name(both[1])} wrote version ${ledger.newVersion[row]} with token ${token} after ${name(both[0])} had written with token ${older}`;
    witnesses.push({ check: "fence", text: employeePrefix(evidence, ledger.employee[row]!) + text, operations: both });
  }
  if (tokens === 0)
    return { check: "fence", status: "skipped", detail: "no write carried a token", count: 0, witnesses: [] };
  return {
    check: "fence",
    status: count > 0 ? "violated" : "holds",
    detail: `${outOf(count, tokens, "token")} not newer than a token before`,
    count,
    witnesses,
  };
}
