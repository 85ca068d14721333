/** The checks, in the order of the report, and what each means for the verdict of a run. */
import type { CheckResult } from "../report-data.ts";
import { chain } from "./chain.ts";
import type { Check } from "./check.ts";
import { errors } from "./errors.ts";
import { exclusion } from "./exclusion.ts";
import { fence } from "./fence.ts";
import { liveness } from "./liveness.ts";
import { naive } from "./naive.ts";
import { reconciliation } from "./reconciliation.ts";
import { set } from "./set.ts";
import { vacuity } from "./vacuity.ts";
import { value } from "./value.ts";

export const CHECKS: Record<CheckResult["check"], Check> = {
  chain: {
    examine: ({ evidence, order }) => chain(evidence, order),
    violates: "data",
    completeness: false,
  },
  value: {
    examine: ({ evidence, order }) => value(evidence, order),
    violates: "data",
    completeness: false,
  },
  set: {
    examine: ({ evidence, histories }) => set(evidence, histories),
    violates: "data",
    completeness: true,
  },
  exclusion: {
    examine: ({ evidence, order }) => exclusion(evidence, order),
    violates: "exclusion",
    completeness: false,
  },
  fence: {
    examine: ({ evidence }) => fence(evidence),
    violates: "exclusion",
    completeness: false,
  },
  liveness: {
    examine: ({ evidence, histories }) => liveness(evidence, histories),
    violates: null,
    completeness: false,
  },
  metrics: {
    examine: ({ evidence, histories }) => reconciliation(evidence, histories),
    violates: "data",
    completeness: true,
  },
  errors: {
    examine: ({ evidence }) => errors(evidence),
    violates: null,
    completeness: true,
  },
  naive: {
    examine: ({ evidence }) => naive(evidence),
    violates: null,
    completeness: false,
  },
  vacuity: {
    examine: ({ evidence, order, histories }) => vacuity(evidence, order, histories),
    violates: null,
    completeness: false,
  },
};
