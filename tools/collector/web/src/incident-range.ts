// Time range of a search, and the sentences that say what was searched.

import { integer, plural, utc, when } from "./text";

export const RANGES: [value: string, title: string][] = [
  ["", "All stored"], ["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"],
];

export function rangeText(query: URLSearchParams): string {
  const since = query.get("since") ?? "";
  const until = query.get("until") ?? "";
  if (since === "" && until === "") return "in all that is stored";
  const title = RANGES.find(([value]) => value === since)?.[1];
  if (until === "" && title !== undefined) return `going on in the ${title.toLowerCase()}`;
  if (until === "") return `going on since ${when(since)}`;
  return since === "" ? `going on until ${when(until)}` : `going on from ${when(since)} to ${when(until)}`;
}

export interface Searched {
  shown: number;
  next: string | null;
  partial: boolean;
  reached: string | null;
}

export function footer({ shown, next, partial, reached }: Searched, query: URLSearchParams): string {
  const since = reached === null ? "" : `, which begins at ${when(reached)}`;
  if (partial) return `${plural(shown, "incident")} found so far, back to ${reached === null ? "an unknown time" : when(reached)}.`;
  if (next === null) return `${plural(shown, "incident")}: all that match ${rangeText(query)}${since}.`;
  return `The latest ${integer.format(shown)} that match ${rangeText(query)}. Further ones are read as you scroll.`;
}

export function emptyText(query: URLSearchParams, isFiltered: boolean, { partial, reached }: Searched): string {
  if (partial) return `No incident matches in what was searched so far, back to ${reached === null ? "an unknown time" : when(reached)}.`;
  if (isFiltered) return `No incident matches ${rangeText(query)}${reached === null ? "" : ` since ${when(reached)} (${utc(reached)})`}.`;
  return "No incident is stored.";
}
