/** The table of values in the chart's README, made from the comments of values.yaml. */
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from "yaml";

export interface ValueDoc {
  /** `mysql.auth.username` */
  readonly path: string;
  readonly default: unknown;
  /** The comment that begins with `# --`. */
  readonly description: string;
}

/** Every value with its comment, in the order of the file. Throws where one has none. */
export function valueDocs(yaml: string): ValueDoc[] {
  const { contents } = parseDocument(yaml);
  if (!isMap(contents)) throw new Error("values.yaml is not a map");
  return docsOf(contents, "");
}

/** Puts the table between the markers of the README. */
export function withTable(readme: string, docs: readonly ValueDoc[]): string {
  const [before, , after] = readme.split(/^<!-- values: .*? -->$/m);
  if (before === undefined || after === undefined)
    throw new Error("README.md lacks the two lines <!-- values: ... -->");
  const rows = docs.map(({ path, default: value, description }) => [
    `\`${path}\``,
    description,
    `\`${JSON.stringify(value)}\``,
  ]);
  const table = [["Value", "What it does", "Default"], ["---", "---", "---"], ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n");
  return `${before}<!-- values: made by make chart -->\n\n${table}\n\n<!-- values: end -->${after}`;
}

function docsOf(map: YAMLMap, prefix: string): ValueDoc[] {
  return map.items.flatMap((pair, place) => {
    const path = `${prefix}${keyOf(pair)}`;
    const description = commentOf(pair, place === 0 ? map : undefined);
    if (description !== undefined) {
      const value = isNode(pair.value) ? pair.value.toJSON() : null;
      return [{ path, default: value, description }];
    }
    if (isMap(pair.value) && pair.value.items.length > 0) return docsOf(pair.value, `${path}.`);
    throw new Error(`values.yaml: ${path} has no comment that begins with "# --"`);
  });
}

/** The parser gives the comment before the first key of a map to the map. */
function commentOf({ key }: Pair, map: YAMLMap | undefined): string | undefined {
  const own = isScalar(key) ? key.commentBefore : undefined;
  const comment = own ?? map?.commentBefore;
  return comment?.match(/^ -- ([\s\S]*)$/m)?.[1]?.replace(/\n\s*/g, " ");
}

const keyOf = ({ key }: Pair) => (isScalar(key) ? String(key.value) : String(key));
const isNode = (value: unknown): value is { toJSON(): unknown } =>
  typeof value === "object" && value !== null && "toJSON" in value;
