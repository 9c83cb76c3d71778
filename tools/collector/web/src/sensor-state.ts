// State of a sensor with its cause and next step, and what keeps the page from calling the network quiet.
//
// The collector's own words come first (`problems`, `cause`, `next_step`). Where it gives none, they are made from what it reports.

import { ago, integer, sentence, size, words } from "./text";
import type { Sensor, Stats } from "./types";

// Time after a start of the collector within which sensors that have not returned are "returning".
const RETURN_S = 60;
// Share of its interfaces' bytes that a sensor has to see, in percent.
const VISIBLE_PERCENT = 95;
const CLOCK_OFF_MS = 5_000;

export interface SensorView {
  sensor: Sensor;
  state: string;
  title: string;
  cause: string;
  next: string | null;
  // 0 needs attention first.
  rank: number;
  isTrouble: boolean;
}

const TITLES: Record<string, string> = { enrolled: "never connected", never_connected: "never connected", clock_wrong: "clock wrong" };
const ORDER = [
  "key_copied", "log_contradicted", "offline", "blind", "clock_wrong", "behind", "losing", "outdated", "returning", "enrolled",
  "never_connected", "connected", "revoked",
];
const CALM = new Set(["connected", "revoked"]);

interface Reason {
  state: string;
  cause: string;
  next: string | null;
}

export function view(sensor: Sensor, stats: Stats | null, now: number): SensorView {
  const reason = reasonOf(sensor, stats, now);
  const rank = ORDER.indexOf(reason.state);
  return {
    sensor, ...reason,
    title: TITLES[reason.state] ?? words(reason.state).toLowerCase(),
    rank: rank < 0 ? 0 : rank,
    isTrouble: !CALM.has(reason.state),
  };
}

function reasonOf(sensor: Sensor, stats: Stats | null, now: number): Reason {
  const told = sensor.problems?.[0] ?? (sensor.cause ? { state: sensor.state, cause: sensor.cause, next_step: sensor.next_step ?? null } : null);
  const own = told === null ? null : { state: told.state, cause: sentence(told.cause), next: told.next_step || null };
  return evidence(sensor, now) ?? own ?? (sensor.state === "connected" ? connected(sensor, now) : absent(sensor, stats, now));
}

// What speaks against the sensor or its books, whatever its connection is.
function evidence(sensor: Sensor, now: number): Reason | null {
  if (sensor.state === "revoked") return null;
  if (sensor.key_copied) {
    return { state: "key_copied", cause: `Two devices use its key: ${sensor.key_copied.detail}.`,
      next: "Revoke the sensor and enroll the right device with a new token." };
  }
  const log = sensor.log;
  if (log !== null && log.contradictions > 0) {
    const times = log.contradictions > 1 ? `, ${integer.format(log.contradictions)} times so far` : "";
    return { state: "log_contradicted", cause: `Its log was rolled back or rewritten ${ago(log.contradicted_time ?? log.time, now)}${times}.`,
      next: `sentinel log verify --head ${log.contradicted_head ?? log.head}` };
  }
  return null;
}

function absent(sensor: Sensor, stats: Stats | null, now: number): Reason {
  if (sensor.state === "enrolled" || sensor.state === "never_connected") {
    return { state: sensor.state, cause: "It has never connected.", next: "On the device: sentinel doctor" };
  }
  if (sensor.state === "revoked") return { state: "revoked", cause: "Its key is refused.", next: null };
  const seen = sensor.last_seen === null ? "It has not been seen." : `Last seen ${ago(sensor.last_seen, now)}.`;
  if (sensor.state === "offline" && stats !== null && stats.uptime_s < RETURN_S) {
    return { state: "returning", cause: `The collector has just started. ${seen}`, next: null };
  }
  return { state: sensor.state, cause: seen, next: "Is the device on, and does it reach the collector? On the device: sentinel doctor" };
}

function connected(sensor: Sensor, now: number): Reason {
  // A collector that tells problems has looked at these itself.
  const doubt = sensor.problems === undefined ? sight(sensor) : null;
  return doubt ?? books(sensor, now);
}

// Frames a second are rounded down: a sensor that sees a few a minute shows 0, and cannot vouch for much.
function sight(sensor: Sensor): Reason | null {
  const interfaces = sensor.interfaces ?? "its interfaces";
  if (sensor.telemetry !== null && sensor.frames_per_s === 0) {
    return { state: "blind", cause: `It sees less than one frame a second on ${interfaces}.`,
      next: "Is it the right interface, and is there traffic? On the device: sentinel doctor" };
  }
  if (typeof sensor.seen_percent === "number" && sensor.seen_percent < VISIBLE_PERCENT) {
    return { state: "blind", cause: `It sees ${sensor.seen_percent} % of the bytes of ${interfaces}.`,
      next: "Flow offload hides traffic from it. On the device: sentinel doctor" };
  }
  if (typeof sensor.clock_off_ms === "number" && Math.abs(sensor.clock_off_ms) > CLOCK_OFF_MS) {
    return { state: "clock_wrong", cause: `Its clock is off by ${Math.round(sensor.clock_off_ms / 1000)} s.`,
      next: "Set the time of the device, best by NTP." };
  }
  return null;
}

function books(sensor: Sensor, now: number): Reason {
  const count = (name: string) => sensor.telemetry?.[name] ?? 0;
  if (sensor.accounting.state === "waiting") {
    return { state: "behind", cause: `${sentence(sensor.accounting.text)} ${size(count("spool_bytes"))} wait on the device.`,
      next: "They come by themselves when the connection allows it." };
  }
  if (sensor.accounting.state === "lost" || sensor.accounting.state === "unknown") {
    const next = sensor.runs_unclean > 0 ? `sentinel-collector sensors acknowledge ${sensor.name}` : null;
    return { state: "losing", cause: sentence(sensor.accounting.text), next };
  }
  const since = sensor.connected_since === null ? "" : ` Connected ${ago(sensor.connected_since, now)}.`;
  return { state: "connected", cause: `All books balance.${since}`, next: null };
}

export interface Calm {
  // Nothing is known that keeps an attack from being seen.
  isSure: boolean;
  // Why it cannot be told.
  reasons: string[];
  // What the sensors do not report.
  unreported: string | null;
}

// Calm needs every enrolled sensor connected, seeing frames and its interfaces' bytes, with balanced books.
export function calm(views: SensorView[]): Calm {
  const watching = views.filter((one) => one.state !== "revoked");
  const reasons = grouped(watching.filter((one) => one.isTrouble));
  const unseen = watching.filter((one) => !one.isTrouble && one.sensor.frames_per_s === null);
  if (watching.length === 0) reasons.push("no sensor is enrolled");
  if (unseen.length > 0) reasons.push(`${names(unseen)} not yet measured`);
  const blank = watching.filter((one) => !one.isTrouble && typeof one.sensor.seen_percent !== "number" && one.sensor.problems === undefined);
  const unreported = blank.length === 0 ? null
    : `${blank.length === watching.length ? "The sensors do" : `${names(blank)} ${blank.length === 1 ? "does" : "do"}`} not report which share of the bytes they see.`;
  return { isSure: reasons.length === 0 && unreported === null, reasons, unreported };
}

function grouped(views: SensorView[]): string[] {
  const byTitle = new Map<string, SensorView[]>();
  for (const one of views) byTitle.set(one.title, [...(byTitle.get(one.title) ?? []), one]);
  return [...byTitle].map(([title, list]) => `${names(list)} ${title}`);
}

function names(views: SensorView[]): string {
  const first = views.slice(0, 3).map((one) => one.sensor.name).join(", ");
  return views.length > 3 ? `${first} and ${integer.format(views.length - 3)} more` : first;
}

export function sorted(list: Sensor[], stats: Stats | null, now: number): SensorView[] {
  const views = list.map((sensor) => view(sensor, stats, now));
  return views.sort((a, b) => a.rank - b.rank || a.sensor.name.localeCompare(b.sensor.name));
}
