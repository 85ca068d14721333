/** A suite of JUnit's XML, as CI servers read it. */
import junit, { type Builder } from "junit-report-builder";
import { oneLine } from "../text/format.ts";

export interface Result {
  readonly kind: "pass" | "failure" | "error" | "skipped";
  readonly message: string;
  readonly lines: readonly string[];
}

export function createSuite(title: string, properties: Readonly<Record<string, string>>, seconds: number) {
  const xml = builder.newBuilder().name("holdfast");
  const suite = xml.testSuite().name(title);
  suite.time(seconds);
  for (const [name, value] of Object.entries(properties)) suite.property(name, oneLine(value));
  return {
    testCase(className: string, name: string, result: Result, seconds = 0) {
      const made = suite.testCase().className(`holdfast.${className}`).name(name).time(seconds);
      const message = oneLine(result.message);
      if (result.kind === "failure") made.failure(message, "violated");
      if (result.kind === "error") made.error(message, "unknown");
      if (result.kind === "skipped") made.skipped();
      // The package puts the text into CDATA and escapes only the first end mark in it.
      made.standardOutput([message, ...result.lines.map(oneLine)].join("\n").replaceAll("]]>", "]] >"));
    },
    build: () => xml.build(),
  };
}

/** The package is CommonJS: its default export is the builder, but its types say that it is the whole module. */
const builder = junit as unknown as Builder;
