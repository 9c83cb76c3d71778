// Incidents: the page of a search that the collector makes in everything it has stored, one row for each, with detail and state.
// Text from the network becomes a text node, never markup. Uses the helpers of page.js when called.
"use strict";

const PAGE_ROWS = 100;
const MAX_ROWS = 200; // rows in the document; what is past them is found by a narrower search
const MESSAGE_ROWS = 20;
const TYPING_MS = 250;
const BEHIND_MS = 150; // until the collector has made incidents of the alerts that it has stored
const STATES = { new: "New", seen: "Seen", resolved: "Resolved", false_alarm: "False alarm" };
const PHASES = { open: "ongoing", closed: "closed", run_ended: "ended with the sensor's run" };

// Starts to show incidents; returns `changed`, for a new alert, and `refresh`.
function showIncidents() {
  const view = {
    rows: new Map(), // id -> incident
    nodes: new Map(), // id -> { node, text }: the row as it was drawn
    detail: null, // { id, node }
    next: null, partial: false, reached: null, behind: 0, loaded: false, failed: null,
    paused: false, missed: 0, query: 0,
  };
  const atOnce = atMostEachSecond(() => load(false));

  function path(cursor) {
    const given = new URLSearchParams({ limit: PAGE_ROWS });
    const words = byId("filter").value.trim();
    if (words !== "") given.set("q", words);
    const least = Number(byId("min-severity").value);
    if (least > 0) given.set("severity", SEVERITIES.slice(least).join(","));
    if (byId("state").value !== "") given.set("state", byId("state").value);
    if (cursor !== null) given.set("cursor", cursor);
    return `/api/v1/incidents?${given}`;
  }

  // Reads the first page again, or the one after those shown. Of two requests the later one counts.
  async function load(more) {
    if (view.paused && !more) return;
    const mine = view.query;
    let page;
    try {
      page = await answer(path(more ? view.next : null));
    } catch (error) {
      if (mine !== view.query) return;
      view.failed = error.message;
      draw();
      return;
    }
    if (mine !== view.query) return;
    view.failed = null;
    take(page, more);
    draw();
    if (page.behind > 0 && !more) setTimeout(atOnce, BEHIND_MS);
  }

  function take(page, more) {
    const ids = page.incidents.map((incident) => incident.id);
    const lowest = ids.length > 0 ? Math.min(...ids) : Infinity;
    const isLonger = !more && view.loaded && [...view.rows.keys()].some((id) => id < lowest) && page.next !== null;
    if (!more) {
      // Rows of further pages stay; what the first page no longer has, does not match any more.
      for (const id of view.rows.keys()) if (page.next === null || id >= lowest) view.rows.delete(id);
    }
    for (const incident of page.incidents) view.rows.set(incident.id, incident);
    if (!isLonger) [view.next, view.partial, view.reached] = [page.next, page.partial, page.reached];
    view.behind = page.behind;
    view.loaded = true;
  }

  function restart() {
    view.query += 1;
    view.rows.clear();
    view.loaded = false;
    load(false);
  }

  function draw() {
    const shown = [...view.rows.values()].sort((a, b) => b.id - a.id).slice(0, MAX_ROWS);
    const wanted = [];
    for (const incident of shown) {
      wanted.push(rowOf(incident));
      if (view.detail !== null && view.detail.id === incident.id) wanted.push(view.detail.node);
    }
    const body = byId("incident-rows");
    const keep = new Set(wanted);
    for (const node of [...body.children]) if (!keep.has(node)) node.remove();
    // Nothing that stays is moved: a field keeps its focus.
    let at = body.firstElementChild;
    for (const node of wanted) {
      if (node === at) at = at.nextElementSibling; else body.insertBefore(node, at);
    }
    for (const id of view.nodes.keys()) if (!view.rows.has(id)) view.nodes.delete(id);
    drawNotes(shown.length);
  }

  function rowOf(incident) {
    const text = JSON.stringify(incident);
    const known = view.nodes.get(incident.id);
    if (known !== undefined && known.text === text) return known.node;
    const node = row(incident);
    view.nodes.set(incident.id, { node, text });
    if (known !== undefined && known.node.contains(document.activeElement)) {
      known.node.replaceWith(node);
      node.querySelector("button").focus();
    }
    return node;
  }

  function row(incident) {
    const node = element("tr", incident.phase === "open" ? "" : "closed");
    const level = element("td");
    level.append(element("span", `badge ${incident.severity ?? "info"}`, incident.severity === null ? "Unknown" : words(incident.severity)));
    const kind = element("td", "kind", incident.kind === null ? "–" : kindName(incident.kind));
    if (incident.technique !== null) kind.title = `MITRE ATT&CK ${incident.technique}`;
    const what = element("td", "what", incident.summary);
    const count = incident.messages > 1 ? `, ${integer.format(incident.messages)} messages` : "";
    what.append(element("span", "phase", `${PHASES[incident.phase]}${count}`));
    if (incident.state !== "new") what.append(element("span", "state", STATES[incident.state]));
    const open = element("button", "open", "Details");
    open.type = "button";
    open.setAttribute("aria-expanded", String(view.detail !== null && view.detail.id === incident.id));
    open.setAttribute("aria-label", `Details of incident ${incident.id}`);
    open.addEventListener("click", () => toggle(incident.id, open));
    what.append(open);
    node.append(level, timeCell(incident.last_time), element("td", "sensor", incident.sensor), kind, what);
    return node;
  }

  function drawNotes(shown) {
    const isFiltered = byId("filter").value.trim() !== "" || byId("min-severity").value !== "0" || byId("state").value !== "";
    const since = view.reached === null ? "" : ` since ${when(view.reached)}`;
    const empty = byId("incidents-empty");
    empty.hidden = shown > 0;
    if (view.failed !== null) empty.textContent = "The incidents cannot be read.";
    else if (!view.loaded) empty.textContent = "Searching.";
    else if (view.partial) empty.textContent = `No incident matches in what was searched so far, back to ${when(view.reached)}.`;
    else if (!isFiltered) empty.textContent = "No incident is stored. They appear here as sensors report them.";
    else empty.textContent = `No incident matches in all that is stored${since}.`;
    const more = byId("more");
    more.hidden = view.next === null || shown >= MAX_ROWS;
    more.textContent = view.partial ? "Search further back" : "Show more";
    byId("incidents-foot").textContent = footer(shown, since);
  }

  function footer(shown, since) {
    const parts = [];
    if (view.failed !== null) parts.push(`Not up to date: ${view.failed}.`);
    if (shown > 0) {
      const all = view.next === null && !view.partial;
      const number = `${integer.format(shown)} ${shown === 1 ? "incident" : "incidents"}`;
      parts.push(all ? `${number}, all that match${since}.`
        : view.partial ? `${number} found so far, back to ${when(view.reached)}.`
          : `The latest ${integer.format(shown)} that match.${shown >= MAX_ROWS ? " Search to see others." : ""}`);
      parts.push("Times are local.");
    }
    if (view.behind > 0) parts.push(`${integer.format(view.behind)} stored alerts are not part of an incident yet.`);
    if (view.missed > 0) parts.push(`${integer.format(view.missed)} new alerts while paused.`);
    return parts.join(" ");
  }

  // Detail

  async function toggle(id, button) {
    if (view.detail !== null) {
      const was = view.detail.id;
      view.detail.node.remove();
      view.detail = null;
      redraw(was);
      if (was === id) { draw(); focusRow(id); return; }
    }
    const node = element("tr", "detail");
    const cell = element("td");
    cell.colSpan = 5;
    cell.append(element("p", "", "Reading the incident."));
    node.append(cell);
    view.detail = { id, node };
    redraw(id);
    draw();
    if (document.activeElement === document.body || document.activeElement === button) focusRow(id);
    await fill(id, cell);
  }

  // Forgets the drawn row, so that it is drawn anew.
  function redraw(id) {
    const known = view.nodes.get(id);
    if (known !== undefined) known.text = "";
  }

  function focusRow(id) {
    const known = view.nodes.get(id);
    if (known !== undefined) known.node.querySelector("button").focus();
  }

  async function fill(id, cell) {
    try {
      const [incident, messages] = await Promise.all([
        answer(`/api/v1/incidents/${id}`), answer(`/api/v1/incidents/${id}/messages?limit=${MESSAGE_ROWS}`),
      ]);
      cell.replaceChildren(facts(incident), actions(incident, cell), ...history(incident), ...messageList(incident, messages));
    } catch (error) {
      const again = element("button", "", "Try again");
      again.type = "button";
      again.addEventListener("click", () => fill(id, cell));
      cell.replaceChildren(element("p", "failed", `The incident cannot be read: ${error.message}.`), again);
    }
  }

  function facts(incident) {
    const list = element("dl", "facts");
    const port = (number) => (number === null ? "" : `, port ${number}`);
    const pairs = [
      ["Source", incident.src === null ? null : `${incident.src}${port(incident.src_port)}`],
      ["Name and hardware", [incident.host, incident.src_mac].filter(Boolean).join(", ") || null],
      ["Destination", incident.dst === null ? null : `${incident.dst}${port(incident.dst_port)}`],
      ["First evidence", when(incident.first_time)],
      ["Last message", when(incident.last_time)],
      ["Messages", `${integer.format(incident.messages)}, ${integer.format(incident.suppressed)} more suppressed by the sensor`],
      ["Technique", incident.technique === null ? null : `MITRE ATT&CK ${incident.technique}`],
      ["State", incident.state_by === null ? STATES[incident.state]
        : `${STATES[incident.state]}, by ${incident.state_by}, ${when(incident.state_time)}`],
    ];
    for (const [name, value] of pairs) if (value !== null) list.append(element("dt", "", name), element("dd", "", value));
    return list;
  }

  function actions(incident, cell) {
    const form = element("form", "actions");
    const failed = element("p", "failed");
    failed.setAttribute("role", "status");
    const note = element("input");
    note.maxLength = 2000;
    note.placeholder = "Note";
    note.setAttribute("aria-label", `Note about incident ${incident.id}`);
    const change = async (body) => {
      const text = note.value.trim();
      if (text !== "") body.note = text;
      if (Object.keys(body).length === 0) { note.focus(); return; }
      try {
        await answer(`/api/v1/incidents/${incident.id}`, {
          method: "PATCH", body: JSON.stringify(body),
          headers: { "Content-Type": "application/json", "If-Match": `"${incident.revision}"` },
        });
        await fill(incident.id, cell);
        cell.querySelector("button").focus();
        load(false);
      } catch (error) {
        failed.textContent = `Not changed: ${error.message}.`;
      }
    };
    for (const [state, title] of Object.entries(STATES)) {
      if (state === incident.state) continue;
      const button = element("button", "", title);
      button.type = "button";
      button.addEventListener("click", () => change({ state }));
      form.append(button);
    }
    const add = element("button", "", "Add note");
    add.type = "submit";
    form.append(note, add, failed);
    form.addEventListener("submit", (event) => { event.preventDefault(); change({}); });
    return form;
  }

  function history(incident) {
    if (incident.changes.length === 0) return [];
    const list = element("ul", "entries");
    for (const entry of incident.changes) {
      const item = element("li", "", [entry.state === null ? null : STATES[entry.state], entry.note].filter(Boolean).join(": "));
      item.append(element("span", "by", ` ${entry.by}, ${when(entry.time)}`));
      list.append(item);
    }
    return [element("h3", "", "Changes and notes"), list];
  }

  function messageList(incident, page) {
    const list = element("ul", "entries");
    for (const message of page.messages) {
      const item = element("li", "", message.summary);
      item.append(element("span", "by", ` ${message.phase ?? ""} ${when(message.time)}`));
      list.append(item);
    }
    const isAll = page.next === null;
    return [element("h3", "", isAll ? "Messages" : `Latest ${MESSAGE_ROWS} of ${integer.format(incident.messages)} messages`), list];
  }

  // Controls

  let typing = null;
  byId("filter").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(restart, TYPING_MS); });
  byId("min-severity").addEventListener("change", restart);
  byId("state").addEventListener("change", restart);
  byId("more").addEventListener("click", () => load(true));
  byId("pause").addEventListener("click", () => {
    view.paused = !view.paused;
    view.missed = 0;
    byId("pause").setAttribute("aria-pressed", String(view.paused));
    byId("pause").textContent = view.paused ? "Resume" : "Pause";
    if (!view.paused) load(false); else draw();
  });

  return {
    changed() {
      if (!view.paused) { atOnce(); return; }
      view.missed += 1;
      drawNotes(byId("incident-rows").childElementCount);
    },
    refresh() { atOnce(); },
  };
}

// The answer as JSON. An error has the words of the collector, and what it would take.
async function answer(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const allowed = Array.isArray(body?.allowed) ? ` (allowed: ${body.allowed.join(", ")})` : "";
  throw new Error(body?.error === undefined ? `${path.split("?")[0]}: ${response.status}` : `${body.error}${allowed}`);
}

function timeCell(text) {
  const cell = element("td", "time");
  const { day, time } = clockTime(text);
  if (day !== clockTime(new Date().toISOString()).day) cell.append(`${day} `);
  cell.append(element("strong", "", time));
  cell.title = String(text);
  return cell;
}

function when(text) {
  const { day, time } = clockTime(text);
  return day === clockTime(new Date().toISOString()).day ? time : `${day} ${time}`;
}
