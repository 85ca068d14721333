/** What all drawings share: the frame, the axes, the text. */
import { count } from "../../text/format.ts";
import { color } from "./colors.ts";
import { type Attributes, type Child, el, type Markup } from "./markup.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A drawing with a title for screen readers. It fills the width of its place. */
export const drawing = ({ width, height }: Size, title: string, ...children: Child[]): Markup =>
  el(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`,
      role: "img",
      "font-family": "system-ui,sans-serif",
      "font-size": 11,
    },
    el("title", {}, title),
    ...children,
  );

export const write = (x: number, y: number, content: Child, attributes: Attributes = {}): Markup =>
  el("text", { x, y, fill: color("muted"), ...attributes }, content);

export const rule = (x1: number, y1: number, x2: number, y2: number, attributes: Attributes = {}): Markup =>
  el("line", { x1, y1, x2, y2, stroke: color("line"), ...attributes });

export interface Tick {
  readonly at: number;
  readonly text: string;
}

/** The lines of a vertical axis with their values on the left. */
export const rows = (ticks: readonly Tick[], left: number, right: number): Markup[] =>
  ticks.flatMap(({ at, text }) => [
    rule(left, at, right, at),
    write(left - 5, at + 4, text, { "text-anchor": "end", "font-size": 10 }),
  ]);

/** The values below a horizontal axis, with a mark each. */
export const columns = (ticks: readonly Tick[], top: number, bottom: number): Markup[] =>
  ticks.flatMap(({ at, text }) => [
    rule(at, top, at, bottom),
    write(at, bottom + 13, text, { "text-anchor": "middle", "font-size": 10 }),
  ]);

/** A number of an axis: `1,500`, `0.25`. */
export const axisNumber = (value: number) =>
  Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(3)));

/** Names with their colors, wrapped into lines of this width. */
export function legend(items: readonly { name: string; paint: string }[], left: number, top: number, width: number) {
  let x = left;
  let y = top;
  const drawn = items.map(({ name, paint }) => {
    const wide = 22 + name.length * 6.4;
    if (x > left && x + wide > left + width) {
      x = left;
      y += 16;
    }
    const at = x;
    x += wide;
    return [
      el("rect", { x: at, y: y - 8, width: 9, height: 9, rx: 2, fill: paint }),
      write(at + 13, y, name, { fill: color("ink") }),
    ];
  });
  return { drawn: drawn.flat(), bottom: y };
}
