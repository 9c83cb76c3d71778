// Alerts and changes of sensors as they happen, from one event stream for all pages of a browser: over HTTP/1 a browser
// opens six connections to a host, every stream keeps one, and the seventh page would wait for ever. Runs as a shared
// worker, or inside the page where there is none. Where the collector has no stream left, it polls.
"use strict";

const POLL_MS = 3000;
const STREAM_RETRY_MS = 60000; // between two attempts to open a stream while polling
const OPEN_TIMEOUT_MS = 10000;
const POLL_LIMIT = 500;
const PORT_TIMEOUT_MS = 300000; // pages say that they are there every 20 s, hidden ones every minute

// Calls `post` with one of
//   { kind: "state", state: "up" | "polling" | "down", lastId }
//   { kind: "alert", id, previous, alert }   `previous` is the id before: a page whose last alert is older has missed some
//   { kind: "sensor" }
// and returns functions that pause and resume.
function startFeed(post) {
  let lastId = null; // row number of the latest alert
  let stream = null;
  let timer = null;
  let paused = false;
  let starts = 0; // a start that waits when another begins has ended

  const report = (state) => post({ kind: "state", state, lastId: lastId ?? 0 });
  const later = (work, delay) => { clearTimeout(timer); timer = setTimeout(work, delay); };

  function deliver(id, alert) {
    if (paused) return;
    post({ kind: "alert", id, previous: lastId ?? 0, alert });
    lastId = id;
  }

  async function read(path) {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(OPEN_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  async function start() {
    starts += 1;
    const mine = starts;
    try {
      if (lastId === null) {
        const newest = await read("/api/v1/alerts?limit=1");
        lastId = newest.alerts.length > 0 ? newest.alerts[0].id : 0;
      }
    } catch {
      if (paused || mine !== starts) return;
      report("down");
      later(start, POLL_MS);
      return;
    }
    if (!paused && mine === starts) listen();
  }

  function listen() {
    // The browser reconnects by itself and sends the id of its last event; the collector sends the alerts it missed.
    const events = new EventSource(`/api/v1/events?last_event_id=${lastId}`);
    stream = events;
    const fallBack = () => { events.close(); stream = null; poll(Date.now() + STREAM_RETRY_MS); };
    later(fallBack, OPEN_TIMEOUT_MS);
    events.addEventListener("open", () => { clearTimeout(timer); report("up"); });
    events.addEventListener("error", () => {
      // Closed for good: the collector has answered with an error, such as a limit of streams.
      if (events.readyState === EventSource.CLOSED) fallBack(); else report("down");
    });
    events.addEventListener("alert", (event) => deliver(Number(event.lastEventId), JSON.parse(event.data)));
    events.addEventListener("sensor", () => post({ kind: "sensor" }));
  }

  async function poll(until) {
    if (paused) return;
    try {
      const page = await read(`/api/v1/alerts?after=${lastId}&limit=${POLL_LIMIT}`);
      for (const alert of page.alerts) deliver(alert.id, alert);
      report("polling");
    } catch {
      report("down");
    }
    if (paused) return;
    if (Date.now() >= until) listen(); else later(() => poll(until), POLL_MS);
  }

  start();
  return {
    pause() {
      paused = true;
      clearTimeout(timer);
      if (stream !== null) stream.close();
      stream = null;
    },
    resume() {
      if (!paused) return;
      paused = false;
      start();
    },
  };
}

if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
  const ports = new Map(); // port of a page -> time of its last message
  let state = { kind: "state", state: "down", lastId: 0 };
  const add = (port) => {
    if (!ports.has(port)) port.postMessage(state);
    ports.set(port, Date.now());
  };
  startFeed((message) => {
    if (message.kind === "state") state = message;
    if (message.kind === "alert") state.lastId = message.id;
    for (const port of ports.keys()) port.postMessage(message);
  });
  self.addEventListener("connect", (event) => {
    const port = event.ports[0];
    port.addEventListener("message", ({ data }) => { if (data === "bye") ports.delete(port); else add(port); });
    port.start();
    add(port);
  });
  setInterval(() => {
    for (const [port, at] of ports) if (Date.now() - at > PORT_TIMEOUT_MS) ports.delete(port);
  }, 60000);
}
