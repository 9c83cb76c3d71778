// Words and figures for people.

import type { Severity } from "./types";

export const integer = new Intl.NumberFormat("en");

interface KindNames {
  [kind: string]: [title: string, technique: string];
}

// Titles and techniques that the collector knows, from the document.
const kinds: KindNames = JSON.parse(document.getElementById("kinds")?.textContent || "{}");

export const kindNames = (): [string, string][] => Object.entries(kinds).map(([name, [title]]) => [name, title]);

export function words(name: string): string {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const kindTitle = (kind: string | null): string =>
  kind === null ? "Unknown kind" : Object.hasOwn(kinds, kind) ? (kinds[kind]?.[0] ?? words(kind)) : words(kind);

export const severityTitle = (severity: Severity | null): string => (severity === null ? "Unknown" : words(severity));

// Address of a technique's description, which opens only when it is followed.
export const techniqueLink = (technique: string): string => `https://attack.mitre.org/techniques/${technique.replace(".", "/")}/`;

export const STATE_TITLES = { new: "New", seen: "Seen", resolved: "Resolved", false_alarm: "False alarm" } as const;
export const PHASE_TITLES = { open: "ongoing", closed: "over", run_ended: "ended with the sensor's run" } as const;

const two = (number: number): string => String(number).padStart(2, "0");

export const day = (date: Date): string => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
export const clock = (date: Date): string => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

// Local time; with its day unless that is today.
export function when(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  return day(date) === day(new Date()) ? clock(date) : `${day(date)} ${clock(date)}`;
}

export function utc(text: string): string {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : `${date.toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

// Name of the zone of local times, with its distance from UTC.
export function zone(): string {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local";
  const minutes = -new Date().getTimezoneOffset();
  const offset = `${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return name === "UTC" ? name : `${name}, UTC${offset}`;
}

export function ago(text: string, now: number): string {
  return `${span(Math.max(0, now - Date.parse(text)))} ago`;
}

export function span(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${integer.format(Math.floor(seconds / 86_400))} d`;
}

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${integer.format(count)} ${count === 1 ? one : many}`;
}

// With its full stop; a name at the start keeps its letters.
export const ended = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

export const sentence = (text: string): string => ended(text.charAt(0).toUpperCase() + text.slice(1));
