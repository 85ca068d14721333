/** The colors of the page, light and dark. Amber is for controls; red only for a violation that was not expected. */
import type { Tone } from "../../text/paint.ts";

/** Each name with its color on light and on dark ground. */
export const COLORS = {
  ground: ["#ffffff", "#11151b"],
  card: ["#f5f7fa", "#1a2029"],
  ink: ["#1b2330", "#e7ebf1"],
  muted: ["#556072", "#9fabbc"],
  line: ["#d3d9e2", "#3a4452"],
  held: ["#1a7445", "#4fc98d"],
  control: ["#935600", "#f2ad42"],
  "control-bar": ["#cf7a00", "#f2ad42"],
  pale: ["#fae0af", "#6b4d18"],
  broken: ["#c01f1c", "#ff7269"],
  "broken-bar": ["#d92d27", "#ff5f55"],
  unsure: ["#6544b8", "#b8a1ff"],
  fault: ["#6544b8", "#b8a1ff"],
  bar: ["#4a78b5", "#6c9fe0"],
} as const satisfies Readonly<Record<string, readonly [light: string, dark: string]>>;
export type ColorName = keyof typeof COLORS;

/** For workers and runs, in turn. None is red or amber. */
export const SERIES: readonly (readonly [light: string, dark: string])[] = [
  ["#2f66ad", "#6ea6f0"],
  ["#12807c", "#4cc9c4"],
  ["#7853bd", "#b295f5"],
  ["#527f2f", "#94c96a"],
  ["#a8457f", "#ea8fc8"],
  ["#46707f", "#8ebccd"],
  ["#5a5f9e", "#9ea4ec"],
  ["#6a7180", "#aab4c3"],
];

/**
 * A color as an attribute takes it. The light color stands in it too, because some servers let a page have no style
 * sheet.
 */
export const color = (name: ColorName) => `var(--${name},${COLORS[name][0]})`;

export const seriesColor = (index: number) =>
  `var(--series-${index % SERIES.length},${SERIES[index % SERIES.length]![0]})`;

/** The color of a verdict by the tone that it has in the text form. */
export const TONES: Readonly<Record<Tone, ColorName>> = {
  title: "ink",
  plain: "ink",
  quiet: "muted",
  good: "held",
  bad: "control",
  alarm: "broken",
  unsure: "unsure",
};

const variables = (index: 0 | 1) =>
  [
    ...Object.entries(COLORS).map(([name, shades]) => `--${name}:${shades[index]}`),
    ...SERIES.map((shades, series) => `--series-${series}:${shades[index]}`),
  ].join(";");

/** No rule sets the fill of text in a drawing: it would win over the attribute. */
export const STYLE = `:root{color-scheme:light dark;${variables(0)}}
@media screen and (prefers-color-scheme:dark){:root{${variables(1)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:22px;line-height:1.25;margin:0 0 8px}
h2{font-size:18px;margin:44px 0 6px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:18px 0 4px}
p{margin:4px 0 10px;max-width:80ch}
.quiet{color:var(--muted)}
a{color:var(--series-0)}
code{font:13px/1.4 ui-monospace,monospace;background:var(--card);padding:2px 5px;border-radius:4px;overflow-wrap:anywhere}
.verdict{border-left:6px solid;padding:8px 14px;background:var(--card);border-radius:0 8px 8px 0;margin:0 0 12px;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(195px,100%),1fr));gap:12px;margin:12px 0}
.card{background:var(--card);border:1px solid var(--line);border-top:4px solid;border-radius:8px;padding:10px 12px;min-width:0}
.card h3{margin:0 0 2px;color:var(--ink);overflow-wrap:anywhere}
.card p{margin:0 0 6px;font-size:13px}
.word{font-weight:700;font-size:14px}
dl{display:grid;grid-template-columns:auto 1fr;gap:1px 10px;margin:8px 0 0;font-size:13px}
dt{color:var(--muted)}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;color:var(--ink);overflow-wrap:anywhere}
.held{color:var(--held)}.control{color:var(--control)}.broken{color:var(--broken)}.unsure{color:var(--unsure)}.muted{color:var(--muted)}.ink{color:var(--ink)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));gap:14px}
.small{grid-template-columns:repeat(auto-fill,minmax(200px,1fr))}
figure{margin:8px 0 16px;min-width:0;break-inside:avoid}
figcaption{font-size:13px;margin-bottom:2px;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto}
.wide{overflow-x:auto}
.wide>svg{min-width:760px}
table{border-collapse:collapse;font-size:13px}
th,td{text-align:left;padding:3px 12px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--muted);font-weight:600}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
ul{margin:4px 0 10px;padding-left:20px;overflow-wrap:anywhere}
@media print{main{max-width:none;padding:0}.wide{overflow:visible}.wide>svg{min-width:0}.card,figure,tr{break-inside:avoid}h2{break-after:avoid}}
`;
