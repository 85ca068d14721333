/** One sentence for all lost workers of one cause: a fleet often fails as a whole. */

/**
 * `worker-2 was lost: ...`, or `4 of 4 workers were lost: ...` where several have the same cause, with the first of them.
 * `workers` is the size of the fleet.
 */
export function describeLost<Row extends { readonly lost?: string | undefined }>(
  rows: readonly Row[],
  workers: number,
  nameOf: (row: Row) => string,
): readonly { readonly text: string; readonly first: Row }[] {
  const lost = rows.filter((row) => row.lost !== undefined);
  return [...Map.groupBy(lost, (row) => withoutClient(row.lost ?? "")).values()].map((alike) => {
    const first = alike[0]!;
    const who = alike.length > 1 ? `${alike.length} of ${workers} workers were` : `${nameOf(first)} was`;
    return { text: `${who} lost: ${first.lost}`, first };
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** MySQL names the address of the client in its refusals, and each pod has its own. */
const withoutClient = (cause: string) => cause.replaceAll(/@'[^']*'/g, "");
