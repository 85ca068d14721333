/** The checks, in the order of the report, and what each means for the verdict of a run. */
import type { CheckResult } from "../report-data.ts";
import { chain } from "./chain.ts";
import type { Check } from "./check.ts";
import { exclusion } from "./exclusion.ts";
import { fence } from "./fence.ts";
import { liveness } from "./liveness.ts";
import { naive } from "./naive.ts";
import { metrics } from "./reconciliation.ts";
import { set } from "./set.ts";
import { vacuity } from "./vacuity.ts";
import { value } from "./value.ts";

export const CHECKS: Record<CheckResult["check"], Check> = {
  chain: {
    examine: ({ evidence, threads }) => chain(evidence, threads),
    violates: "data",
    completeness: false,
  },
  value: {
    examine: ({ evidence, threads }) => value(evidence, threads),
    violates: "data",
    completeness: false,
  },
  set: {
    examine: ({ evidence, accounts }) => set(evidence, accounts),
    violates: "data",
    completeness: true,
  },
  exclusion: {
    examine: ({ evidence, threads }) => exclusion(evidence, threads),
    violates: "exclusion",
    completeness: false,
  },
  fence: {
    examine: ({ evidence }) => fence(evidence),
    violates: "exclusion",
    completeness: false,
  },
  liveness: {
    examine: ({ evidence, accounts }) => liveness(evidence, accounts),
    violates: null,
    completeness: false,
  },
  metrics: {
    examine: ({ evidence, accounts }) => metrics(evidence, accounts),
    violates: "data",
    completeness: true,
  },
  naive: {
    examine: ({ evidence }) => naive(evidence),
    violates: null,
    completeness: false,
  },
  vacuity: {
    examine: ({ evidence, threads, accounts }) => vacuity(evidence, threads, accounts),
    violates: null,
    completeness: false,
  },
};
