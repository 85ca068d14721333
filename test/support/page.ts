/** Reads a page strictly, for the tests of everything that makes one. */
import { SaxesParser } from "saxes";

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The elements of a page, by a strict parser: it throws at anything that is not well-formed. */
export function parsePage(page: string): { elements: Element[]; texts: string[] } {
  const elements: Element[] = [];
  const texts: string[] = [];
  const parser = new SaxesParser();
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", ({ name, attributes }) =>
    elements.push({ name, attributes: attributes as Element["attributes"] }),
  );
  parser.on("text", (text) => texts.push(text));
  parser.write(page.replace("<!doctype html>\n", "")).close();
  return { elements, texts };
}

/** What makes a page load something, run something, or be blank where styles are not allowed. */
export function offencesIn({ elements }: { readonly elements: readonly Element[] }): string[] {
  return elements.flatMap(({ name, attributes }) => {
    const said = `${name} ${JSON.stringify(attributes)}`;
    if (name === "script" && attributes.type !== "application/json") return [said];
    if (["img", "iframe", "object", "embed", "image", "use", "base", "form"].includes(name)) return [said];
    return Object.entries(attributes)
      .filter(
        ([key, value]) =>
          key === "style" ||
          key === "src" ||
          key.startsWith("on") ||
          (/href$/.test(key) && !/^(#|data:,$)/.test(value)) ||
          (/\burl\(|https?:|\/\//.test(value) && key !== "xmlns" && key !== "content"),
      )
      .map(() => said);
  });
}
