import { styleText } from "node:util";

/**
 * What a piece of text means. The terminal form turns it into a color, the other forms ignore it. `bad` is a violation
 * that theory expects, `alarm` a result that theory does not expect.
 */
export type Tone = "plain" | "quiet" | "title" | "good" | "bad" | "alarm" | "unsure";

export type Paint = (tone: Tone, text: string) => string;

/** Returns a function that writes no escape sequences unless `color` is true, whatever the environment sets. */
export function painter(color: boolean): Paint {
  if (!color) return (_, text) => text;
  return (tone, text) =>
    tone === "plain" || text === "" ? text : styleText(STYLES[tone], text, { validateStream: false });
}

/** The word VERDICT in a filled box, for the last line of the report. */
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
