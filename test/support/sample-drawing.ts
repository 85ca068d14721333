/** What the page draws of a run, from simulated operations: with lost updates, or without. */
import { drawingOf } from "../../coordinator/judge/drawing.ts";
import type { Drawing } from "../../coordinator/judge/drawing-data.ts";
import type { Agreement } from "../../coordinator/judge/report-data.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import { serialTurns, simulate, type Turn } from "./histories.ts";

/** Four workers that read before the others have written: every second write is stale. */
const racing: Turn[] = Array.from({ length: 40 }, (_, round) =>
  [0, 1, 0, 1, 2, 3, 2, 3].map((worker, index): Turn => {
    const raise = ((round * 8 + index) % 90) + 5;
    return { worker, employee: 1, raise, end: "committed", afterUs: 700 + ((round * 37 + index * 211) % 900) };
  }),
).flat();

const drawn = (turns: readonly Turn[], agreement: Agreement): Drawing => {
  const { evidence } = simulate(turns);
  return drawingOf(evidence, { ...judge(evidence), agreement })!;
};

export const lossyDrawing = (agreement: Agreement = "expected") => drawn(racing, agreement);
export const serialDrawing = () => drawn(serialTurns(160), "expected");

/** Buckets around a median, as Prometheus has them. */
export const bucketsAround = (p50: number, count: number) => {
  const shares = [0.05, 0.2, 0.45, 0.2, 0.1];
  return shares.map((share, index) => ({
    atMost: Number((p50 * 1.5 ** (index - 2)).toPrecision(3)),
    count: Math.round(share * count),
  }));
};
