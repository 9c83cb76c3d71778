// Incidents by the time at which they arrived, counted in bars.

import { signal } from "@preact/signals";
import { type RequestError, request } from "./request";
import { type IncidentPage, SEVERITIES, type Severity } from "./types";

export interface Span {
  name: string;
  title: string;
  bar: number; // milliseconds
  bars: number;
  unit: string;
}

const MINUTE = 60_000;
export const SPANS: Span[] = [
  { name: "1h", title: "1 h", bar: MINUTE, bars: 60, unit: "minute" },
  { name: "24h", title: "24 h", bar: 20 * MINUTE, bars: 72, unit: "20 minutes" },
  { name: "7d", title: "7 d", bar: 120 * MINUTE, bars: 84, unit: "2 hours" },
];

const PAGE_ROWS = 1_000;
const MAX_PAGES = 5;

export interface Timeline {
  span: Span;
  starts: number[]; // milliseconds
  counts: Record<Severity, number[]>;
  totals: number[];
  total: number;
  // Time from which on all are counted, if that is later than the first bar.
  from: number | null;
}

export const span = signal<Span>(SPANS[0] as Span);
export const timeline = signal<Timeline | null>(null);
export const timelineError = signal<RequestError | null>(null);

function empty(of: Span, now: number): Timeline {
  const end = Math.ceil(now / of.bar) * of.bar;
  const starts = Array.from({ length: of.bars }, (_, index) => end - (of.bars - index) * of.bar);
  const counts = Object.fromEntries(SEVERITIES.map((name) => [name, starts.map(() => 0)])) as Record<Severity, number[]>;
  return { span: of, starts, counts, totals: starts.map(() => 0), total: 0, from: null };
}

let reads = 0;

// Incidents come in the order of their arrival, the latest first.
export async function readTimeline(): Promise<void> {
  reads += 1;
  const mine = reads;
  const made = empty(span.value, Date.now());
  const first = made.starts[0] ?? 0;
  let cursor: string | null = null;
  let oldest = Number.POSITIVE_INFINITY;
  try {
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const after: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: IncidentPage = await request<IncidentPage>(`/api/v1/incidents?limit=${PAGE_ROWS}${after}`);
      if (mine !== reads) return;
      for (const incident of page.incidents) {
        oldest = Date.parse(incident.opened);
        add(made, oldest, incident.severity ?? "info");
      }
      cursor = page.next;
      if (cursor === null || oldest < first) break;
    }
    made.from = cursor !== null && oldest > first ? oldest : null;
    timeline.value = made;
    timelineError.value = null;
  } catch (error) {
    if (mine === reads) timelineError.value = error as RequestError;
  }
}

function add(made: Timeline, at: number, severity: Severity): void {
  const index = Math.floor((at - (made.starts[0] ?? 0)) / made.span.bar);
  if (index < 0 || index >= made.starts.length) return;
  const counts = made.counts[severity];
  counts[index] = (counts[index] ?? 0) + 1;
  made.totals[index] = (made.totals[index] ?? 0) + 1;
  made.total += 1;
}
