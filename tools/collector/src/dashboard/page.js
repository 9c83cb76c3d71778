// Sensors and sums. Reads /api/v1/sensors and /api/v1/stats; feed.js tells when something has changed, and incidents.js shows
// the incidents.
// Text from the network becomes a text node, never markup.
"use strict";

const SEVERITIES = ["info", "low", "medium", "high", "critical"];
const REFRESH_MS = 5000;
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const integer = new Intl.NumberFormat("en");

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function words(name) {
  const text = String(name).replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// KINDS comes from /kinds.js.
const kindName = (kind) => (Object.hasOwn(KINDS, kind) ? KINDS[kind] : words(kind));

function clockTime(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return { day: "", time: String(text) };
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return { day, time: `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}` };
}

function ago(text) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(text)) / 1000));
  if (!Number.isFinite(seconds)) return "never";
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

// Timeline and summary

function drawTimeline(minutes) {
  const sums = minutes.map((minute) => SEVERITIES.reduce((sum, name) => sum + minute[name], 0));
  const peak = Math.max(4, ...sums);
  const width = 600 / minutes.length;
  const height = 96;
  const parts = [];
  for (const part of [0.25, 0.5, 0.75]) {
    const line = document.createElementNS(SVG, "line");
    line.setAttribute("class", "grid");
    for (const [name, value] of [["x1", 0], ["x2", 600], ["y1", height * part], ["y2", height * part]]) line.setAttribute(name, value);
    parts.push(line);
  }
  minutes.forEach((minute, place) => {
    let top = height;
    for (const name of SEVERITIES) {
      if (minute[name] === 0) continue;
      const tall = Math.max(1, (minute[name] / peak) * (height - 6));
      top -= tall;
      const bar = document.createElementNS(SVG, "rect");
      bar.setAttribute("class", name);
      bar.setAttribute("x", place * width + width * 0.14);
      bar.setAttribute("width", width * 0.72);
      bar.setAttribute("y", Math.max(0, top));
      bar.setAttribute("height", tall);
      parts.push(bar);
    }
    if (sums[place] > 0) {
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${clockTime(minute.minute).time.slice(0, 5)}: ${integer.format(sums[place])}`;
      parts.at(-1).append(title);
    }
  });
  byId("timeline").replaceChildren(...parts);
  const total = sums.reduce((sum, count) => sum + count, 0);
  const most = Math.max(0, ...sums);
  byId("timeline").setAttribute("aria-label",
    `Alerts per minute over the last hour: ${integer.format(total)} in all, ${integer.format(most)} in the busiest minute`);
  byId("peak").textContent = most > 0 ? `peak ${integer.format(most)}` : "";
}

function drawSummary(stats) {
  const hour = stats.per_minute;
  const count = (names) => hour.reduce((sum, minute) => sum + names.reduce((part, name) => part + minute[name], 0), 0);
  const severe = count(["high", "critical"]);
  const lost = stats.alerts.lost + stats.alerts.missing;
  byId("tile-connected").textContent = integer.format(stats.sensors.connected);
  byId("tile-connected").classList.toggle("warn", stats.sensors.connected < stats.sensors.enrolled);
  byId("tile-enrolled").textContent = `of ${integer.format(stats.sensors.enrolled)} enrolled`;
  byId("tile-hour").textContent = integer.format(count(SEVERITIES));
  byId("tile-stored").textContent = `${integer.format(stats.alerts.stored)} stored, ${size(stats.store_bytes)} on disk`;
  byId("tile-severe").textContent = integer.format(severe);
  byId("tile-severe").classList.toggle("warn", severe > 0);
  byId("tile-severe-note").textContent = `${integer.format(count(["critical"]))} critical`;
  byId("tile-lost").textContent = integer.format(lost);
  byId("tile-lost").classList.toggle("warn", lost > 0 || stats.alerts.accounting.state === "unknown");
  byId("tile-lost").classList.toggle("unknown", stats.alerts.accounting.state === "unknown");
  byId("tile-lost-note").textContent = stats.alerts.accounting.text;
  drawLimits(stats.limited);
}

// Limits that took effect on clients of the page and the interface: nothing is turned away silently.
function drawLimits(limited) {
  const parts = Object.entries(limited).filter(([name]) => !name.startsWith("idle"))
    .map(([name, count]) => `${words(name).toLowerCase()} ${integer.format(count)}`);
  byId("limits").hidden = parts.length === 0;
  byId("limits").textContent = `Limits of clients that took effect since the start: ${parts.join(", ")}.`;
}

// Sensors

function figure(name, value, warn) {
  const pair = element("div");
  pair.append(element("dt", "", name), element("dd", warn ? "warn" : "", value));
  return pair;
}

function sensorItem(sensor) {
  const item = element("li");
  item.dataset.state = sensor.state;
  const top = element("div", "sensor-top");
  const dot = element("span", "dot");
  dot.setAttribute("aria-hidden", "true");
  const stateText = sensor.state === "connected" ? "connected"
    : sensor.last_seen === null ? words(sensor.state) : `${sensor.state}, seen ${ago(sensor.last_seen)}`;
  top.append(dot, element("span", "sensor-name", sensor.name), element("span", "sensor-state", stateText));
  const note = [sensor.host, sensor.interfaces, sensor.peer && `from ${sensor.peer}`].filter(Boolean).join(" · ");
  const figures = element("dl", "figures");
  const counter = (name) => (sensor.telemetry && typeof sensor.telemetry[name] === "number" ? sensor.telemetry[name] : null);
  const shown = (value, unit = "") => (value === null || value === undefined ? "–" : `${integer.format(value)}${unit}`);
  const lost = sensor.alerts_lost + sensor.alerts_missing;
  const dropped = counter("frames_dropped");
  figures.append(
    figure("Alerts", shown(sensor.alerts_stored), false),
    figure("Frames/s", shown(sensor.frames_per_s), false),
    figure("Memory", counter("resident_kib") === null ? "–" : size(counter("resident_kib") * 1024), false),
    figure("Alerts lost", sensor.accounting.state === "unknown" ? `${shown(lost)} or more` : shown(lost), lost > 0 || sensor.accounting.state === "unknown"),
    figure("Dropped", shown(dropped), dropped > 0),
    figure("Reconnects", shown(counter("reconnects")), false),
  );
  const accounting = element("p", "sensor-note accounting", sensor.accounting.text);
  item.append(top, element("p", "sensor-note", note || "has not connected yet"), figures);
  if (["waiting", "lost", "unknown"].includes(sensor.accounting.state)) item.append(accounting);
  if (isLogContradicted(sensor)) item.append(logNote(sensor.log));
  return item;
}

// A later head of the sensor's sealed log contradicts an earlier one. In the words of `sentinel-collector sensors`.
function isLogContradicted(sensor) {
  return sensor.log !== null && sensor.log.contradictions > 0;
}

function logNote(log) {
  const times = log.contradictions > 1 ? `, ${integer.format(log.contradictions)} times so far` : "";
  const text = `log rolled back or rewritten ${ago(log.contradicted_time)}${times}; check it with `;
  const note = element("p", "sensor-note log", text);
  note.append(element("code", "", `sentinel log verify --head ${log.contradicted_head}`));
  return note;
}

function drawSensors(sensors) {
  const order = ["offline", "connected", "enrolled", "revoked"]; // those that need attention first
  const rank = (sensor) => (isLogContradicted(sensor) ? -1 : order.indexOf(sensor.state));
  const sorted = sensors.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  byId("sensor-rows").replaceChildren(...sorted.map(sensorItem));
  byId("sensors-empty").hidden = sensors.length > 0;
}

// Keeping up to date

async function read(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function drawStats() {
  const stats = await read("/api/v1/stats?minutes=60");
  drawSummary(stats);
  drawTimeline(stats.per_minute);
}

async function drawSensorList() {
  drawSensors((await read("/api/v1/sensors")).sensors);
}

// Rate limit: runs `work` at once, or one second after its last run.
function atMostEachSecond(work) {
  let planned = false;
  let earliest = 0;
  return () => {
    if (planned) return;
    planned = true;
    setTimeout(async () => {
      try {
        await work();
      } catch {
        // The state of the event stream shows the reader that the collector is not reachable; the next refresh tries again.
      }
      earliest = Date.now() + 1000;
      planned = false;
    }, Math.max(0, earliest - Date.now()));
  };
}

const incidents = showIncidents();
const refreshStats = atMostEachSecond(drawStats);
const refreshSensors = atMostEachSecond(drawSensorList);
function refresh() {
  refreshStats();
  refreshSensors();
  incidents.refresh();
}

function setLink(name, text) {
  byId("link").dataset.state = name;
  byId("link-text").textContent = text;
}

const LINKS = {
  up: ["up", "Live"],
  polling: ["up", "Live, every 3 s: the collector has no event stream left"],
  down: ["down", "Collector not reachable, trying again"],
};

function receive(message) {
  if (message.kind === "state") {
    setLink(...LINKS[message.state]);
    if (message.state !== "down") refresh();
  } else if (message.kind === "alert") {
    incidents.changed();
    refreshStats();
  } else {
    refresh();
  }
}

function listenInPage() {
  const feed = startFeed(receive);
  // Without a shared worker every page has a stream of its own: only those that are seen keep it.
  const follow = () => { if (document.hidden) feed.pause(); else feed.resume(); };
  follow();
  document.addEventListener("visibilitychange", follow);
}

function listen() {
  if (typeof SharedWorker === "undefined") { listenInPage(); return; }
  const worker = new SharedWorker("/feed.js", { name: "feed-1" }); // another name if the messages change
  let failed = false;
  worker.addEventListener("error", () => { if (!failed) { failed = true; listenInPage(); } });
  worker.port.addEventListener("message", ({ data }) => receive(data));
  worker.port.start();
  setInterval(() => worker.port.postMessage("here"), 20000);
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", (event) => { if (event.persisted) worker.port.postMessage("here"); });
}

listen();
refresh();
setInterval(refresh, REFRESH_MS);
