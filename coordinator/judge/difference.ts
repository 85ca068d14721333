/** Where two JSON values differ. Pure. */

export interface Difference {
  /** `runs[2].data.value` */
  readonly path: string;
  /** Undefined where one of them has no such value. */
  readonly left: unknown;
  readonly right: unknown;
}

/** Each place once: a list or an object that both have is looked into. The order of the fields of an object is ignored. */
export function findDifferences(left: unknown, right: unknown, path = ""): Difference[] {
  if (!isContainer(left) || !isContainer(right) || Array.isArray(left) !== Array.isArray(right))
    return Object.is(left, right) ? [] : [{ path, left, right }];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((key) => {
    const step = Array.isArray(left) ? `[${key}]` : path === "" ? key : `.${key}`;
    return findDifferences(left[key], right[key], path + step);
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const isContainer = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
