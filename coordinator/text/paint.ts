import { styleText } from "node:util";

/**
 * What a piece of text means; the terminal turns it into a color, the other forms leave it out. `bad` is a violation
 * that theory expects, `alarm` one that it does not.
 */
export type Tone = "plain" | "quiet" | "title" | "good" | "bad" | "alarm" | "unsure";

export type Paint = (tone: Tone, text: string) => string;

/** Writes no escape sequence at all unless `color` is true, whatever the environment says. */
export function painter(color: boolean): Paint {
  if (!color) return (_, text) => text;
  return (tone, text) =>
    tone === "plain" || text === "" ? text : styleText(STYLES[tone], text, { validateStream: false });
}

/** The word before the verdict that counts, in a filled box. */
export const badge = (tone: "good" | "bad" | "unsure") =>
  styleText(BADGES[tone], " VERDICT ", { validateStream: false });

type Style = Parameters<typeof styleText>[0];

const STYLES: Record<Exclude<Tone, "plain">, Style> = {
  quiet: "dim",
  title: "bold",
  good: ["bold", "green"],
  bad: ["bold", "red"],
  alarm: ["bold", "white", "bgRed"],
  unsure: ["bold", "yellow"],
};

const BADGES: Record<"good" | "bad" | "unsure", Style> = {
  good: ["bold", "black", "bgGreen"],
  bad: ["bold", "white", "bgRed"],
  unsure: ["bold", "black", "bgYellow"],
};
