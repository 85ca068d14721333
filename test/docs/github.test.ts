/** What GitHub reads in .github/: a file that it cannot parse is ignored there without a message. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import * as z from "zod";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-githubs-form-schema */
const text = z.string().trim().min(1);
const field = <T extends string, A extends z.ZodRawShape>(type: T, attributes: A) =>
  z.strictObject({
    type: z.literal(type),
    id: z.string().regex(/^[\w-]+$/),
    attributes: z.strictObject({ label: text, description: text.optional(), ...attributes }),
    validations: z.strictObject({ required: z.boolean() }).optional(),
  });
const typed = { placeholder: text.optional(), value: text.optional() };
const Field = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("markdown"), attributes: z.strictObject({ value: text }) }),
  field("input", typed),
  field("textarea", { ...typed, render: text.optional() }),
  field("dropdown", { options: z.array(text).min(1), multiple: z.boolean().optional() }),
  field("checkboxes", { options: z.array(z.strictObject({ label: text, required: z.boolean().optional() })).min(1) }),
]);
const Form = z.strictObject({
  name: text.min(4),
  description: text.min(4),
  title: z.string().optional(),
  labels: z.array(text).optional(),
  body: z.array(Field).min(1),
});

const FOLDER = ".github/ISSUE_TEMPLATE";
const forms = globSync(`${FOLDER}/*.yml`, { cwd: ROOT }).filter((path) => basename(path) !== "config.yml");

for (const path of forms)
  test(`${path} is a form by GitHub's schema, with each id, label and choice once`, () => {
    const { body } = Form.parse(parse(read(path)));
    const asked = body.filter((each) => each.type !== "markdown");
    assert.notDeepEqual(asked, []);
    assertOnce(asked.map(({ id }) => id));
    assertOnce(asked.map(({ attributes }) => attributes.label));
    for (const each of asked) if (each.type === "dropdown") assertOnce(each.attributes.options);
  });

test("the forms have different names, and those for bugs ask for the report", () => {
  assertOnce(forms.map((path) => Form.parse(parse(read(path))).name));
  const asking = forms.filter((path) => /^ +label: report\.json$/m.test(read(path))).map((path) => basename(path));
  assert.deepEqual(asking.sort(), ["1-wrong-verdict.yml", "2-bug-report.yml"]);
});

test("the forms have a config.yml by GitHub's schema", () => {
  const link = z.strictObject({ name: text, url: z.url(), about: text });
  const Config = z.strictObject({ blank_issues_enabled: z.boolean(), contact_links: z.array(link).optional() });
  Config.parse(parse(read(`${FOLDER}/config.yml`)));
});

test("dependabot.yml has weekly groups for each ecosystem of this repository", () => {
  const update = z.strictObject({
    "package-ecosystem": text,
    directory: z.literal("/"),
    schedule: z.strictObject({ interval: z.literal("weekly") }),
    groups: z.record(text, z.strictObject({ patterns: z.array(text).min(1) })),
    ignore: z.array(z.strictObject({ "dependency-name": text, "update-types": z.array(text).min(1) })).optional(),
  });
  const { updates } = z
    .strictObject({ version: z.literal(2), updates: z.array(update) })
    .parse(parse(read(".github/dependabot.yml")));
  assert.deepEqual(updates.map((each) => each["package-ecosystem"]).sort(), ["docker", "github-actions", "npm"]);
});

/** https://docs.github.com/actions/sharing-automations/creating-actions/metadata-syntax-for-github-actions */
const Action = z.strictObject({
  name: text,
  description: text,
  inputs: z.record(text, z.strictObject({ description: text, default: z.string() })),
  outputs: z.record(text, z.strictObject({ description: text, value: text })),
  runs: z.strictObject({
    using: z.literal("composite"),
    steps: z.array(
      z.union([
        z.strictObject({
          name: text.optional(),
          if: text.optional(),
          uses: text,
          with: z.record(text, z.union([text, z.number()])),
        }),
        z.strictObject({
          name: text,
          id: text.optional(),
          shell: z.literal("bash"),
          env: z.record(text, text).optional(),
          run: text,
        }),
      ]),
    ),
  }),
});

test("action.yml is an action by GitHub's schema, uses each of its inputs, and puts none of them into a script", () => {
  const action = Action.parse(parse(read("action.yml")));
  const steps = JSON.stringify(action.runs);
  for (const input of Object.keys(action.inputs)) assert.ok(steps.includes(`\${{ inputs.${input} }}`), input);
  for (const step of action.runs.steps) if ("run" in step) assert.doesNotMatch(step.run, /\$\{\{/);
});

test("docs/ci.md names each input and output of action.yml", () => {
  const { inputs, outputs } = Action.parse(parse(read("action.yml")));
  const page = read("docs/ci.md");
  for (const name of [...Object.keys(inputs), ...Object.keys(outputs)])
    assert.match(page, new RegExp(`^\\| \`${name}\` \\|`, "m"));
});

test("workflows and the action name actions by commit, with the version as a comment", () => {
  const uses = globSync(["action.yml", ".github/workflows/*.yml"], { cwd: ROOT }).flatMap((path) =>
    [...read(path).matchAll(/^.*\buses: .*$/gm)].map(([line]) => line.trim()),
  );
  assert.notDeepEqual(uses, []);
  assert.deepEqual(
    uses.filter((line) => !/uses: [\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line)),
    [],
  );
});

function assertOnce(values: readonly string[]) {
  assert.deepEqual(
    values.filter((value, index) => values.indexOf(value) !== index),
    [],
  );
}
