/** The frame of every page: one file that loads nothing, light and dark. */
import { STYLE } from "./colors.ts";
import { type Child, el, type Markup, styleSheet } from "./markup.ts";

/** `after`: what follows the visible part, such as data for programs. */
export function htmlPage(title: string, content: Child, after?: Child): string {
  const page = el(
    "html",
    { lang: "en" },
    el(
      "head",
      {},
      el("meta", { charset: "utf-8" }),
      el("meta", { name: "viewport", content: "width=device-width,initial-scale=1" }),
      el("link", { rel: "icon", href: "data:," }),
      el("title", {}, title),
      styleSheet(STYLE),
    ),
    el("body", {}, el("main", {}, content), after),
  );
  return `<!doctype html>\n${page.source}\n`;
}

/** A part with a heading that can be linked to; nothing without a body. */
export const titled = (title: string, id: string, body: readonly Markup[]): Markup[] =>
  body.length === 0 ? [] : [el("section", {}, el("h2", { id }, title), ...body)];

/** A drawing that keeps its size on a narrow screen and scrolls by itself. */
export const wide = (drawn: Markup) => el("div", { class: "wide" }, drawn);
