// Answers of the interface. Members that later collectors add are optional: an older one leaves them out.

export const SEVERITIES = ["info", "low", "medium", "high", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];

export const STATES = ["new", "seen", "resolved", "false_alarm"] as const;
export type State = (typeof STATES)[number];

export type Phase = "open" | "closed" | "run_ended";

export interface Incident {
  id: number;
  sensor: string;
  boot: number;
  incident: number;
  kind: string | null;
  test: string | null;
  technique: string | null;
  severity: Severity | null;
  summary: string;
  src: string | null;
  dst: string | null;
  src_port: number | null;
  dst_port: number | null;
  src_mac: string | null;
  host: string | null;
  phase: Phase;
  first_time: string;
  last_time: string;
  opened: string;
  updated: string;
  messages: number;
  suppressed: number;
  state: State;
  state_by: string | null;
  state_time: string | null;
  notes: number;
  revision: number;
}

export interface IncidentChange {
  time: string;
  by: string;
  state: State | null;
  note: string | null;
}

export interface Alert {
  id?: number;
  sensor?: string;
  boot?: number;
  incident?: number;
  time: string;
  phase?: string;
  summary: string;
  evidence?: Record<string, number | string>;
}

export interface IncidentDetail extends Incident {
  latest: Alert | null;
  changes: IncidentChange[];
}

export interface IncidentPage {
  incidents: Incident[];
  next: string | null;
  partial: boolean;
  reached: string | null;
  behind: number;
}

export interface Messages {
  messages: Alert[];
  next: string | null;
}

export interface Accounting {
  state: "unknown" | "lost" | "waiting" | "no_gap" | "complete" | string;
  text: string;
}

export interface SealedLog {
  head: string;
  time: string;
  contradictions: number;
  contradicted_head: string | null;
  contradicted_time: string | null;
}

export interface SensorProblem {
  state: string;
  cause: string;
  next_step: string | null;
}

export interface Sensor {
  id: number;
  name: string;
  public_key: string;
  state: string;
  cause?: string | null;
  next_step?: string | null;
  peer: string | null;
  connected_since: string | null;
  frames_per_s: number | null;
  software: string | null;
  host: string | null;
  interfaces: string | null;
  enrolled: string;
  revoked: string | null;
  last_seen: string | null;
  alerts_stored: number;
  alerts_duplicate: number;
  alerts_lost: number;
  alerts_missing: number;
  accounting: Accounting;
  stored_bytes: number;
  limit_hits: number;
  last_limit: string | null;
  runs_unclean: number;
  run_ends_reported: boolean;
  runs_acknowledged: { runs: number; time: string; by: string } | null;
  key_copied: { sign: string; signs: number; detail: string; time: string } | null;
  key_since: string | null;
  log: SealedLog | null;
  telemetry_time: string | null;
  telemetry: Record<string, number> | null;
  problems?: SensorProblem[];
  seen_percent?: number | null;
  clock_off_ms?: number | null;
  alerts_missing_since_restore?: number | null;
}

export type MinuteCounts = Record<Severity, number> & { minute: string };

// Verdict of the collector over all sensors.
export interface Verdict {
  verdict: "attacks" | "cannot_tell" | "quiet" | string;
  attacks: number;
  reasons: { sensor: string | null; state: string | null; cause: string; next_step: string | null }[];
  reasons_total: number;
}

export interface Removed {
  alerts: number;
  incidents: number;
  latest: string | null;
}

export interface Stats {
  time: string;
  uptime_s: number;
  store_bytes: number;
  sensors: { enrolled: number; connected: number; revoked: number };
  alerts: { stored: number; duplicate: number; lost: number; missing: number; accounting: Accounting };
  verdict?: Verdict;
  removed: Record<"age" | "size" | "disk", Removed>;
  limited: Record<string, number>;
}

export interface Health {
  status: string;
  version?: string;
  uptime_s?: number;
  store?: string;
  sensors_connected?: number;
}

export type Role = "viewer" | "analyst" | "operator" | "admin";
export const ROLES: readonly Role[] = ["viewer", "analyst", "operator", "admin"];

export interface Me {
  user: string | null;
  via: "none" | "loopback" | "password" | "key";
  role: Role | null;
  groups: string[] | null;
  totp: boolean | null;
  administrator: boolean;
}

export interface User {
  name: string;
  role: Role;
  groups: string[] | null;
  totp: boolean;
  created: string;
  logins: number;
}

export interface ApiKey {
  name: string;
  role: Role;
  groups: string[] | null;
  created: string;
  expires: string | null;
  last_used: string | null;
}

export interface AuditRow {
  id: number;
  time: string;
  who: string;
  whence: string;
  what: string;
  detail: string;
  result: string;
}
