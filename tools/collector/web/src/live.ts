// State of the connection with the collector, and what the feed reports, for all pages.

import { computed, signal } from "@preact/signals";
import { Feed, type FeedMessage, type LinkState } from "./feed";

declare const FEED_PATH: string;

// Silence after which figures are shown as old.
const STALE_MS = 5_000;
const HERE_MS = 20_000;

export const now = signal(Date.now());
export const link = signal<LinkState>("connecting");
export const contactAt = signal(Date.now());
export const storeStatus = signal("ok");
export const isStale = computed(() => now.value - contactAt.value > STALE_MS);
// Changes when the feed comes back: everything may have changed.
export const returns = signal(0);

type AlertsListener = (keys: string[], isCut: boolean) => void;
const alertListeners = new Set<AlertsListener>();
const sensorListeners = new Set<() => void>();

export function onAlerts(listener: AlertsListener): () => void {
  alertListeners.add(listener);
  return () => void alertListeners.delete(listener);
}

export function onSensors(listener: () => void): () => void {
  sensorListeners.add(listener);
  return () => void sensorListeners.delete(listener);
}

let isBehind = false;

function catchUp(): void {
  if (document.hidden || !isBehind) return;
  isBehind = false;
  returns.value += 1;
}

function receive(message: FeedMessage): void {
  if (message.kind === "contact") {
    if (message.at - contactAt.value > STALE_MS) returns.value += 1;
    contactAt.value = message.at;
    storeStatus.value = message.status;
  } else if (message.kind === "state") {
    const returned = link.value === "down" && message.state !== "down";
    link.value = message.state;
    if (returned) returns.value += 1;
  } else if (document.hidden) {
    isBehind = true; // a tab that nobody sees asks nothing
  } else if (message.kind === "alerts") {
    for (const listener of alertListeners) listener(message.keys, message.isCut);
  } else {
    for (const listener of sensorListeners) listener();
  }
}

function listenInPage(): void {
  const feed = new Feed(receive);
  // Without a shared worker every page has a stream of its own: only those that are seen keep it.
  const follow = () => {
    if (document.hidden) feed.pause();
    else feed.resume();
  };
  follow();
  document.addEventListener("visibilitychange", follow);
}

export function listen(): void {
  setInterval(() => { now.value = Date.now(); }, 1_000);
  document.addEventListener("visibilitychange", catchUp);
  if (typeof SharedWorker === "undefined") {
    listenInPage();
    return;
  }
  const worker = new SharedWorker(FEED_PATH, { name: "feed" });
  let failed = false;
  worker.addEventListener("error", () => {
    if (failed) return;
    failed = true;
    listenInPage();
  });
  worker.port.addEventListener("message", ({ data }) => receive(data as FeedMessage));
  worker.port.start();
  setInterval(() => worker.port.postMessage("here"), HERE_MS);
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", (event) => { if (event.persisted) worker.port.postMessage("here"); });
}
