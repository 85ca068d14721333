/** `holdfast theory`: what theory expects of each strategy, with and without faults, as Markdown. docs/theory.md is its output. */
import { type Guard, STRATEGIES, STRATEGY_NAMES, type StrategyName } from "../../worker/contract.ts";
import { expectedUnder, FAULT_NAMES, type FaultName, factsOf, isConcerned, savingGuard } from "../plan/fault-theory.ts";
import { tableOf } from "../text/markdown.ts";

export function theoryMarkdown(): string {
  return [
    "# What theory expects",
    "Made by `holdfast theory` from the source that also judges the runs.",
    "## Without a fault",
    tableOf(
      [
        { head: "strategy", cell: (name) => name },
        { head: "data", cell: (name) => STRATEGIES[name].expects.data },
        { head: "exclusion", cell: (name) => STRATEGIES[name].expects.exclusion },
        { head: "what it is", cell: (name) => STRATEGIES[name].summary },
      ],
      STRATEGY_NAMES,
    ),
    "`unclaimed`: the strategy promises nothing about it.",
    "## With a fault",
    "Strategies that a fault does not concern, and those that are violated without one, are left out.",
    ...FAULT_NAMES.flatMap((fault) => [
      `### ${fault}`,
      sentence(factsOf(fault).summary),
      tableOf(
        [
          { head: "data", cell: ({ data }) => data },
          { head: "strategies", cell: ({ names }) => names.join(", ") },
          { head: "guard", cell: ({ guard }) => guard },
          { head: "because", cell: ({ because }) => because },
        ],
        expectationsUnder(fault),
      ),
    ]),
  ]
    .join("\n\n")
    .concat("\n");
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Expected {
  readonly data: string;
  readonly guard: Guard;
  readonly because: string;
  readonly names: StrategyName[];
}

/** Strategies of which the same is expected for the same reason, together; each without a guard, and with the one that saves it. */
function expectationsUnder(fault: FaultName): Expected[] {
  const found: Expected[] = [];
  for (const name of STRATEGY_NAMES.filter((each) => isConcerned(each, fault))) {
    const guards: Guard[] = ["none"];
    const saving = savingGuard(name, fault);
    if (saving !== undefined) guards.push(saving);
    for (const guard of guards) {
      const { data, because } = expectedUnder(name, fault, guard);
      const alike = found.find((each) => each.data === data && each.guard === guard && each.because === because);
      if (alike === undefined) found.push({ data, guard, because, names: [name] });
      else alike.names.push(name);
    }
  }
  return found;
}

const sentence = (text: string) => `${text[0]!.toUpperCase()}${text.slice(1)}.`;
