// Answers that several pages show: who is logged in, the sensors, the totals, and the incidents that need a look.

import { computed, effect } from "@preact/signals";
import { isStale, onAlerts, onSensors, returns } from "./live";
import { onSignedOut, request } from "./request";
import { Resource } from "./resource";
import type { IncidentPage, Me, Role, Sensor, Stats } from "./types";
import { ROLES } from "./types";

const REFRESH_MS = 5_000;
const LARGE_REFRESH_MS = 30_000;
const LARGE = 500; // sensors from which on their list is read less often
const SESSION_POLL_MS = 60_000;

// Severities that claim an attack.
export const CLAIMS = "medium,high,critical";

export const me = new Resource<Me>("/api/v1/me");
export const sensors = new Resource<{ sensors: Sensor[] }>("/api/v1/sensors", 2_000);
export const stats = new Resource<Stats>("/api/v1/stats?minutes=1", 2_000);
export const needsLook = new Resource<IncidentPage>(`/api/v1/incidents?state=new&severity=${CLAIMS}&limit=100`);
export const ongoing = new Resource<IncidentPage>(`/api/v1/incidents?phase=open&state=new,seen&severity=${CLAIMS}&limit=100`);

export const may = (role: Role): boolean => {
  const mine = me.value.value?.role ?? null;
  return mine !== null && ROLES.indexOf(mine) >= ROLES.indexOf(role);
};

// An account that is limited to groups manages nothing.
export const isAdmin = computed(() => may("admin") && me.value.value?.groups === null);

async function session(): Promise<void> {
  await me.read();
  const value = me.value.value;
  if (me.error.value === null && value?.via === "none") location.replace(`${value.administrator ? "/login" : "/start"}${location.hash}`);
}

export async function logOut(): Promise<void> {
  try {
    await request("/api/v1/logout", { method: "POST" });
  } finally {
    await session();
  }
}

export function refreshIncidents(): void {
  needsLook.refresh();
  ongoing.refresh();
}

function refresh(): void {
  sensors.refresh();
  stats.refresh();
  refreshIncidents();
}

export function keepUpToDate(): void {
  onSignedOut(() => void session());
  void session();
  setInterval(() => void session(), SESSION_POLL_MS);
  onAlerts(refreshIncidents);
  onSensors(refresh);
  refresh();
  effect(() => {
    if (returns.value > 0) refresh();
  });
  setInterval(() => {
    if (!isStale.value && !document.hidden) {
      stats.refresh();
      refreshIncidents();
      if ((sensors.value.value?.sensors.length ?? 0) < LARGE) sensors.refresh();
    }
  }, REFRESH_MS);
  setInterval(() => sensors.refresh(), LARGE_REFRESH_MS);
}
