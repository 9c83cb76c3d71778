// Figures of a message with their bounds, as facts and as the reason of the alert.

import { integer, size, span, words } from "./text";

type Evidence = Record<string, number | string | null>;

function figure(name: string, value: number | string): string {
  if (typeof value === "string") return value;
  if (name === "window_s" || name === "period_s") return span(value * 1000);
  if (name.includes("bytes")) return `${size(value)} (${integer.format(value)} bytes)`;
  if (name.endsWith("_percent")) return `${value} %`;
  return integer.format(value);
}

// `bytes`, `packets_about` and the like, each with its limit beside it.
export function facts(evidence: Evidence): [string, string][] {
  const pairs: [string, string][] = [];
  for (const [name, value] of Object.entries(evidence)) {
    if (value === null || value === "" || name.startsWith("threshold_")) continue;
    const title = words(name.replace(/_s$/, "").replace("_at_least", " at least").replace("_at_most", " at most").replace("_about", " about"));
    pairs.push([title, figure(name, value)]);
  }
  return pairs;
}

// What had to be exceeded.
export function reason(evidence: Evidence): string | null {
  const limit = Object.entries(evidence).find(([name]) => name.startsWith("threshold_"));
  if (limit === undefined || typeof limit[1] !== "number") return null;
  const [name, value] = [limit[0].replace("threshold_", ""), limit[1]];
  const unit = name.endsWith("_per_s") ? `${name.replace("_per_s", "").replaceAll("_", " ")} a second` : name.replaceAll("_", " ");
  const number = name.includes("bytes") ? size(value) : `${integer.format(value)} ${unit}`;
  const window = typeof evidence.window_s === "number" ? ` within ${span(evidence.window_s * 1000)}` : "";
  return `${number}${window} ${number.startsWith("1 ") ? "is" : "are"} the limit.`;
}
