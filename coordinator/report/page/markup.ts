/** Elements of the page as text. All text and all attributes are escaped here, and nowhere else. */
import { oneLine } from "../../text/format.ts";

/** Markup that is complete and escaped. Only this file makes one, so that no text of others becomes markup. */
export class Markup {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

export type Child = Markup | string | number | false | undefined | readonly Child[];
export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element. An attribute that is undefined is left out; numbers are rounded to a tenth. */
export function el(tag: string, attributes: Attributes = {}, ...children: Child[]): Markup {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${typeof value === "number" ? round(value) : escapeText(String(value))}"`)
    .join("");
  const inside = children.map(sourceOf).join("");
  return new Markup(inside === "" && !PAIRED.has(tag) ? `<${tag}${written}/>` : `<${tag}${written}>${inside}</${tag}>`);
}

/** The style sheet: its text is the program's own and has none of the characters that end it. */
export const styleSheet = (css: string) => new Markup(`<style>${css}</style>`);

/** Data for programs, which browsers neither run nor show. No text in it can end the element. */
export const dataBlock = (id: string, value: unknown) =>
  new Markup(
    `<script type="application/json" id="${escapeText(id)}">${JSON.stringify(value).replace(
      /[<>&\u2028\u2029]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
    )}</script>`,
  );

export const round = (value: number) => {
  if (!Number.isFinite(value)) throw new RangeError("a drawing has a coordinate that is not a number");
  return Math.round(value * 10) / 10;
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Elements that HTML does not let end in their own tag. */
const PAIRED = new Set(
  ["a", "b", "code", "dd", "div", "dt", "figure", "h1", "h2", "h3", "li", "p", "section", "span"].concat([
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
    "dl",
    "details",
    "summary",
    "nav",
    "main",
    "header",
  ]),
);

function sourceOf(child: Child): string {
  if (child === false || child === undefined) return "";
  if (child instanceof Markup) return child.source;
  if (typeof child === "object") return child.map(sourceOf).join("");
  return escapeText(String(child));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Spaces at the ends stay, because a text may be a part of a sentence. */
function escapeText(text: string): string {
  const [, before, after] = /^(\s?)[\s\S]*?(\s?)$/.exec(text) ?? [];
  const line = oneLine(text);
  const padded = line === "" ? (before ?? "") : `${before ?? ""}${line}${after ?? ""}`;
  return padded.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
