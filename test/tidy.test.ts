/** Rules on imports and on the size of files, which readers rely on and the compiler does not check. */
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const MOST_LINES = 300;
/** Files that are longer, each with its reason. */
const LONG: Readonly<Record<string, string>> = {
  "coordinator/judge/report-data.ts": "the schema of report.json stands in one file, each field with its description",
  "worker/contract.ts": "all that worker and coordinator agree on stands in one file, and each strategy adds to it",
};

/**
 * The rooms of the coordinator, lowest first. A file imports from its own room and from lower ones only, types included.
 * Rooms on one floor do not import each other.
 */
const FLOORS: readonly (readonly string[])[] = [
  ["errors.ts", "wait.ts", "paths.ts", "text/"],
  ["plan/"],
  ["run-flags.ts"],
  ["config.ts", "judge/"],
  ["report/", "clients/"],
  ["commands/"],
  ["platform/"],
  ["runner/"],
  ["main.ts"],
];
/** What both halves share. It imports nothing else of the project. */
const CONTRACT = ["worker/contract.ts", "worker/own-lock/protocol.ts", "worker/server-errors.ts"];
const ROOMS_MAX = 15;
const FUNCTION_LINES_MAX = 80;
/** Longer functions: each is a factory that returns an object, whose methods share the variables of its closure. */
const FACTORIES = [
  "consulApi",
  "createConsulLock",
  "createCoordinatorMetrics",
  "createDatabase",
  "createEtcdLock",
  "createFleet",
  "createHold",
  "createLeaseLock",
  "createNodeLock",
  "createPlace",
  "createProgram",
  "createProgramLock",
  "createPrometheus",
  "createRedlock",
  "createRoster",
  "createRows",
  "createWaiter",
  "createZooKeeperLock",
  "etcdApi",
  "openConnection",
  "openLink",
  "openSession",
];

/** Planning, judging and printing: everything arrives as an argument. */
const PURE = /^coordinator\/(errors|(plan|judge|report|text)\/(?!progress).*)\.ts$/;
const PURE_PACKAGES = [
  "zod",
  "cli-table3",
  "d3-array",
  "d3-scale",
  "d3-shape",
  "markdown-table",
  "junit-report-builder",
  "ms",
  "simple-statistics",
  "node:crypto",
  "node:util",
];

/** Static, dynamic and re-exported. */
const IMPORT =
  /^(?:import|export)\s(?<type>type\s)?(?:[^"';]*?\sfrom\s)?\s*"(?<target>[^"]+)"|\bimport\("(?<dynamic>[^"]+)"\)/gm;

interface Import {
  readonly from: string;
  /** A path from the root of the project, or the name of a package. */
  readonly to: string;
  /** Gone when the program runs. */
  readonly typeOnly: boolean;
}

const files = sources("{worker,coordinator}");
const imports = files.flatMap(importsOf);
const projectImports = imports.filter(({ to }) => existsSync(join(ROOT, to)));

const rule = (name: string, isBroken: (edge: Import) => boolean, of: readonly Import[] = imports) =>
  test(name, () => {
    assert.deepEqual(of.filter(isBroken).map(told), []);
  });

rule(
  "the worker knows nothing of the coordinator",
  ({ from, to }) => within("worker", from) && within("coordinator", to),
);

rule(
  "the coordinator takes only the contract, the connections to servers and the protocol of own locks from the worker",
  ({ from, to }) =>
    within("coordinator", from) &&
    within("worker", to) &&
    !CONTRACT.includes(to) &&
    !within("worker/servers", to) &&
    !within("worker/own-lock", to),
);

rule(
  "the contract stands on nothing of the project",
  ({ from, to }) => CONTRACT.includes(from) && existsSync(join(ROOT, to)) && !CONTRACT.includes(to),
);

rule(
  "the connections to servers stand on nothing but the contract",
  ({ from, to }) =>
    within("worker/servers", from) &&
    existsSync(join(ROOT, to)) &&
    !within("worker/servers", to) &&
    !CONTRACT.includes(to),
);

rule(
  "strategies never import each other, only their index does",
  ({ from, to }) => within("worker/strategies", from) && within("worker/strategies", to) && !isIndex(from),
);

rule(
  "locks stand on the connections to servers, below strategies, and know neither rows nor loops",
  ({ from, to }) =>
    within("worker/locks", from) &&
    within("worker", to) &&
    !within("worker/locks", to) &&
    !within("worker/servers", to) &&
    !CONTRACT.includes(to),
);

rule(
  "strategies stand below the loop and whatever runs it",
  ({ from, to }) =>
    (within("worker/strategies", from) || from === "worker/strategy.ts") &&
    ["loop", "tally", "metrics", "heartbeat", "control", "connections", "environment", "main"].some(
      (name) => to === `worker/${name}.ts`,
    ),
);

rule(
  "only the main program picks a strategy by its name",
  ({ from, to }) => isIndex(to) && to.startsWith("worker/strategies/") && from !== "worker/main.ts",
);

rule("no file imports a main.ts", ({ to }) => /(^|\/)main\.ts$/.test(to), [
  ...imports,
  ...sources("{test,bench}").flatMap(importsOf),
]);

rule("the product imports neither tests nor benchmarks", ({ to }) => within("test", to) || within("bench", to));

rule(
  "checks, verdicts and reports are pure: they import each other, the contract, and packages without input and output",
  ({ from, to, typeOnly }) =>
    PURE.test(from) && !typeOnly && !PURE.test(to) && to !== "worker/contract.ts" && !PURE_PACKAGES.includes(to),
);

rule("a room of the coordinator imports lower rooms only, types included", ({ from, to }) => {
  if (!within("coordinator", from) || !within("coordinator", to)) return false;
  return roomOf(from) !== roomOf(to) && floorOf(to) >= floorOf(from);
});

test(`coordinator/ has at most ${ROOMS_MAX} entries, each a room with a floor`, () => {
  const entries = readdirSync(join(ROOT, "coordinator"), { withFileTypes: true }).map((entry) =>
    entry.isDirectory() ? `${entry.name}/` : entry.name,
  );
  assert.ok(entries.length <= ROOMS_MAX, entries.join(" "));
  assert.deepEqual(entries.sort(), FLOORS.flat().toSorted());
});

test("no file imports itself by a detour, types included", () => {
  const below = new Map(files.map((file) => [file, new Set<string>()]));
  for (const edge of projectImports) below.get(edge.from)!.add(edge.to);
  const cycles = files.flatMap((file) => cycleFrom(file, below) ?? []);
  assert.deepEqual(cycles, []);
});

test("every strategy is named by the index", () => {
  const named = new Set(imports.filter(({ from }) => from === "worker/strategies/index.ts").map(({ to }) => to));
  const missing = sources("worker/strategies").filter((file) => !isIndex(file) && !named.has(file));
  assert.deepEqual(missing, []);
});

test("there is no folder for what belongs nowhere", () => {
  const folders = new Set(files.flatMap((file) => dirname(file).split("/")));
  assert.deepEqual(
    ["shared", "utils", "util", "helpers", "common", "lib"].filter((name) => folders.has(name)),
    [],
  );
});

test(`files have at most ${MOST_LINES} lines, or are listed with a reason`, () => {
  const long = files.filter((file) => text(file).split("\n").length > MOST_LINES + 1);
  assert.deepEqual(long, Object.keys(LONG));
});

test(`functions have at most ${FUNCTION_LINES_MAX} lines, unless they are factories`, () => {
  const long = files.flatMap((file) => functionsOf(file).filter(({ lines }) => lines > FUNCTION_LINES_MAX));
  assert.deepEqual(long.map(({ name }) => name).sort(), FACTORIES);
});

test("the scan sees what it must see", () => {
  assert.ok(files.length > 40, `${files.length} files`);
  assert.ok(projectImports.some(({ from, to }) => from === "worker/main.ts" && to === "worker/loop.ts"));
  assert.ok(projectImports.some(({ to, typeOnly }) => to === "worker/contract.ts" && typeOnly));
  assert.ok(imports.some(({ from, to }) => from === "worker/strategy.ts" && to === "ioredis"));
  assert.ok(files.flatMap(functionsOf).length > 200);
  const unresolved = imports.filter(({ to }) => to.endsWith(".ts") && !existsSync(join(ROOT, to)));
  assert.deepEqual(unresolved.map(told), []);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Paths from the root of the project, with `/`. */
function sources(folder: string): string[] {
  return globSync(`${folder}/**/*.ts`, { cwd: ROOT })
    .map((file) => file.replaceAll("\\", "/"))
    .sort();
}

function text(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function importsOf(file: string): Import[] {
  return [...text(file).matchAll(IMPORT)].map(({ groups }) => {
    const target = (groups!.target ?? groups!.dynamic)!;
    const to = target.startsWith(".") ? normalize(join(dirname(file), target)) : target;
    return { from: file, to, typeOnly: groups!.type !== undefined };
  });
}

/** The functions at the top level of a file, with their lines from the first to the closing brace. */
function functionsOf(file: string) {
  return [...text(file).matchAll(/^(?:export )?(?:async )?function (\w+)[\s\S]*?^}$/gm)].map(([body, name]) => ({
    name: name!,
    lines: body.split("\n").length,
  }));
}

/** `judge/` of `coordinator/judge/checks/set.ts`; the file itself at the root of coordinator/. */
const roomOf = (file: string) => file.replace(/^coordinator\/([^/]+\/?).*$/, "$1");
const floorOf = (file: string) => FLOORS.findIndex((rooms) => rooms.includes(roomOf(file)));

const within = (folder: string, file: string) => file.startsWith(`${folder}/`);
const isIndex = (file: string) => file.endsWith("/index.ts");
const told = ({ from, to }: Import) => `${from} imports ${to}`;

function cycleFrom(start: string, below: ReadonlyMap<string, ReadonlySet<string>>): string | undefined {
  const seen = new Set<string>();
  const walk = (file: string, path: readonly string[]): string | undefined => {
    for (const next of below.get(file) ?? []) {
      if (next === start) return [...path, start].join(" -> ");
      if (seen.has(next)) continue;
      seen.add(next);
      const found = walk(next, [...path, next]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return walk(start, [start]);
}
