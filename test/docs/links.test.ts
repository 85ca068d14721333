/** The pages refer only to existing files, headings, targets of make, and tests. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

const pages = globSync(["*.md", ".github/**/*.md", "{docs,helm,bench}/**/*.md"], { cwd: ROOT });
const targets = new Set([...read("Makefile").matchAll(/^([a-z0-9-]+):(?!=)/gm)].map(([, target]) => target!));

/** GitHub's anchors: lower case, without punctuation, a hyphen for each space. */
const anchorsOf = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

const brokenLinks = (page: string, text: string) =>
  [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
    .filter(([, path, anchor]) => {
      const to = path === "" ? page : normalize(join(dirname(page), path!));
      return !existsSync(join(ROOT, to)) || (anchor !== undefined && !anchorsOf(read(to)).includes(anchor));
    })
    .map(([link]) => link);

/** Code in backquotes and in code blocks. */
const codeIn = (text: string) =>
  [...text.matchAll(/^```\w*\n(.*?)^```|`([^`\n]+)`/gms)].map(([, block, inline]) => (block ?? inline)!);

/** Targets of `make a b VARIABLE=value` that the Makefile does not have. */
const unknownTargets = (text: string) =>
  codeIn(text)
    .flatMap((code) => [...code.matchAll(/(?:^|&& )make((?: [a-z0-9-]+)+)(?=\s|$)/gm)])
    .flatMap(([, words]) => words!.trim().split(" "))
    .filter((word) => !targets.has(word));

const missingTests = (text: string) =>
  [...text.matchAll(/\btest\/[\w/.*-]*[\w*]/g)]
    .map(([path]) => path)
    .filter((path) => globSync(path, { cwd: ROOT }).length === 0);

for (const page of pages)
  test(`${page} points to what exists`, () => {
    const text = read(page);
    assert.deepEqual(
      { links: brokenLinks(page, text), targets: unknownTargets(text), tests: missingTests(text) },
      { links: [], targets: [], tests: [] },
    );
  });

test("what does not exist is seen", () => {
  assert.ok(pages.includes("CONTRIBUTING.md") && pages.includes("docs/errors.md"));
  assert.deepEqual(brokenLinks("docs/errors.md", "[a](no.md) [b](guards.md) [c](guards.md#no) [d](http://x)"), [
    "](no.md)",
    "](guards.md#no)",
  ]);
  assert.deepEqual(
    unknownTargets("`make demo` and `make lood ARGS=1`\n```sh\nmake image no # comment\n```\nmake sense"),
    ["lood", "no"],
  );
  assert.deepEqual(missingTests("`test/no.test.ts` test/tidy.test.ts test/gold*"), ["test/no.test.ts"]);
});
