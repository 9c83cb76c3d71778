// Incidents of one search: pages that the collector makes in everything it has stored, one row for each incident, changed in place.

import { computed, signal } from "@preact/signals";
import { incidentKey } from "./feed";
import { atMostEach, idempotencyKey, type RequestError, request } from "./request";
import type { Incident, IncidentPage, State } from "./types";

const PAGE_ROWS = 100;
const BEHIND_MS = 150; // until the collector has made incidents of the alerts that it has stored
const MAX_SINGLE = 16; // rows of further pages that are read again at a time
export const FILTERS = ["q", "severity", "state", "kind", "sensor", "src", "dst", "since", "until"] as const;

interface Reached {
  next: string | null;
  partial: boolean;
  reached: string | null;
  behind: number;
}

export class IncidentList {
  readonly rows = signal<ReadonlyMap<number, Incident>>(new Map());
  readonly sorted = computed(() => [...this.rows.value.values()].sort((a, b) => b.id - a.id));
  readonly reached = signal<Reached>({ next: null, partial: false, reached: null, behind: 0 });
  readonly isLoaded = signal(false);
  readonly error = signal<RequestError | null>(null);
  readonly selected = signal<ReadonlySet<number>>(new Set());
  readonly isPaused = signal(false);
  readonly missed = signal(0);
  readonly refresh = atMostEach(1_000, () => this.load(false));
  private query = "";
  private searches = 0;
  private isLoadingMore = false;
  private touched = new Set<string>();

  // Begins another search.
  search(query: URLSearchParams): void {
    const given = new URLSearchParams({ limit: String(PAGE_ROWS) });
    for (const name of FILTERS) {
      const value = query.get(name);
      if (value !== null && value !== "") given.set(name, value);
    }
    const text = given.toString();
    if (text === this.query) return;
    this.query = text;
    this.searches += 1;
    this.rows.value = new Map();
    this.selected.value = new Set();
    this.isLoaded.value = false;
    this.error.value = null;
    void this.load(false);
  }

  // Messages arrived for the incidents `keys`.
  changed(keys: string[]): void {
    if (this.isPaused.value) {
      this.missed.value += 1;
      return;
    }
    for (const key of keys) this.touched.add(key);
    this.refresh();
  }

  pause(isPaused: boolean): void {
    this.isPaused.value = isPaused;
    this.missed.value = 0;
    if (!isPaused) this.refresh();
  }

  async more(): Promise<void> {
    if (this.isLoadingMore || this.reached.value.next === null || this.error.value !== null) return;
    this.isLoadingMore = true;
    await this.load(true);
    this.isLoadingMore = false;
  }

  // Reads the first page again, or the one after those shown. Answers to an earlier search do not count.
  async load(more: boolean): Promise<void> {
    if (this.isPaused.value && this.isLoaded.value && !more) return;
    const mine = this.searches;
    const cursor = more ? this.reached.value.next : null;
    const path = `/api/v1/incidents?${this.query}${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
    try {
      const page = await request<IncidentPage>(path);
      if (mine !== this.searches) return;
      this.take(page, more);
      if (!more) await this.readTouched(page);
      if (page.behind > 0 && !more) setTimeout(this.refresh, BEHIND_MS);
    } catch (error) {
      if (mine === this.searches) this.error.value = error as RequestError;
    }
  }

  private take(page: IncidentPage, more: boolean): void {
    const rows = new Map(this.rows.value);
    const lowest = page.incidents.reduce((least, incident) => Math.min(least, incident.id), Number.POSITIVE_INFINITY);
    const isLonger = !more && this.isLoaded.value && page.next !== null && [...rows.keys()].some((id) => id < lowest);
    // Rows of further pages stay; what the first page no longer has, does not match any more.
    if (!more) for (const id of rows.keys()) if (page.next === null || id >= lowest) rows.delete(id);
    for (const incident of page.incidents) rows.set(incident.id, incident);
    this.rows.value = rows;
    this.reached.value = { ...(isLonger ? this.reached.value : page), behind: page.behind };
    this.isLoaded.value = true;
    this.error.value = null;
  }

  // Rows of further pages that got messages are read one by one.
  private async readTouched(page: IncidentPage): Promise<void> {
    const touched = this.touched;
    this.touched = new Set();
    const fresh = new Set(page.incidents.map((incident) => incident.id));
    const old = [...this.rows.value.values()].filter((row) => !fresh.has(row.id) && touched.has(incidentKey(row.sensor, row.boot, row.incident)));
    const answers = await Promise.allSettled(old.slice(0, MAX_SINGLE).map((row) => request<Incident>(`/api/v1/incidents/${row.id}`)));
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    if (found.length === 0) return;
    const rows = new Map(this.rows.value);
    for (const incident of found) if (rows.has(incident.id)) rows.set(incident.id, incident);
    this.rows.value = rows;
  }

  select(id: number, isSelected: boolean): void {
    const selected = new Set(this.selected.value);
    if (isSelected) selected.add(id);
    else selected.delete(id);
    this.selected.value = selected;
  }

  selectAll(isSelected: boolean): void {
    this.selected.value = new Set(isSelected ? this.rows.value.keys() : []);
  }

  // Sets the state of all that are selected, and says what happened.
  async act(state: State): Promise<string> {
    const ids = [...this.selected.value].filter((id) => this.rows.value.has(id)).slice(0, 1_000);
    const answer = await request<{ changed: number[]; missing: number[] }>("/api/v1/incidents/actions", {
      method: "POST", body: { ids, state }, headers: { "Idempotency-Key": idempotencyKey() },
    });
    this.selected.value = new Set(answer.missing);
    await this.load(false);
    const missing = answer.missing.length > 0 ? `, ${answer.missing.length} not found` : "";
    return `${answer.changed.length} changed${missing}`;
  }
}
