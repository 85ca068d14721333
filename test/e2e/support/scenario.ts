import { type TestContext, test } from "node:test";
import type { Site } from "./site.ts";

export type Body = (t: TestContext) => void | Promise<void>;

/** Longer than the waits of any single case, so that these can report what they waited for. */
const TIMEOUT_MS = 900_000;

/** A test that shows pods, events and the coordinator's log of its sites when it fails. */
export function scenario(name: string, sites: () => readonly (Site | undefined)[], body: Body): void {
  test(name, { timeout: TIMEOUT_MS }, async (t) => {
    try {
      await body(t);
    } catch (error) {
      for (const site of sites()) await site?.explain();
      throw error;
    }
  });
}
