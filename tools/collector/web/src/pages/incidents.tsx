// Incidents: the search of everything that is stored, with filters, saved views, and changes of many at once.

import { useEffect, useState } from "preact/hooks";
import { FILTERS, IncidentList } from "../incident-list";
import { emptyText, footer, RANGES } from "../incident-range";
import { listKeys } from "../keys";
import { isStale, onAlerts, returns } from "../live";
import { Command, Failure, Skeleton } from "../parts/basic";
import { IncidentRow } from "../parts/incident-row";
import { SavedViews } from "../parts/saved-views";
import { useVirtualRows } from "../parts/virtual";
import type { RequestError } from "../request";
import { href, route, setQuery } from "../route";
import { may, refreshIncidents, sensors, stats } from "../state";
import { calm, sorted } from "../sensor-state";
import { integer, kindNames, plural, sentence, STATE_TITLES, when } from "../text";
import { SEVERITIES, STATES, type State } from "../types";

const TYPING_MS = 250;
const ROW_HEIGHT = 58;
const REFRESH_MS = 5_000;

export const list = new IncidentList();

function set(name: string, value: string): void {
  const query = new URLSearchParams(route.value.query);
  if (value === "") query.delete(name);
  else query.set(name, value);
  if (name === "since") query.delete("until");
  setQuery(query);
}

// The text is the reader's while it is typed: rows that change do not touch it.
function SearchField() {
  const given = route.value.query.get("q") ?? "";
  const [text, setText] = useState(given);
  useEffect(() => setText((typed) => (typed.trim() === given ? typed : given)), [given]);
  useEffect(() => {
    if (text.trim() === given) return undefined;
    const typing = setTimeout(() => set("q", text.trim()), TYPING_MS);
    return () => clearTimeout(typing);
  }, [text]);
  return (
    <>
      <label class="visually-hidden" for="filter">Search all stored incidents</label>
      <input id="filter" type="search" maxLength={200} placeholder="/ address, network, kind, sensor" autocomplete="off"
        spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
    </>
  );
}

function Filters() {
  const query = route.value.query;
  const value = (name: string) => query.get(name) ?? "";
  const least = SEVERITIES.map((_, index) => SEVERITIES.slice(index).join(","));
  const others = FILTERS.filter((name) => ["sensor", "src", "dst", "until"].includes(name) && value(name) !== "");
  return (
    <div class="controls">
      <SearchField />
      <Choice id="range" label="Time range" value={value("until") === "" ? value("since") : "other"} set={(text) => set("since", text)}
        options={[...RANGES, ...(RANGES.some(([known]) => known === value("since")) && value("until") === "" ? []
          : [[value("until") === "" ? value("since") : "other", "Chosen span"] as [string, string]])]} />
      <Choice id="min-severity" label="Least severity" value={value("severity")} set={(text) => set("severity", text)}
        options={[["", "All severities"], [least[1] ?? "", "Low and above"], [least[2] ?? "", "Medium and above"],
          [least[3] ?? "", "High and above"], ["critical", "Critical only"]]} />
      <Choice id="state" label="State" value={value("state")} set={(text) => set("state", text)}
        options={[["", "All states"], ...STATES.map((state) => [state, STATE_TITLES[state]] as [string, string])]} />
      <Choice id="kind" label="Kind" value={value("kind")} set={(text) => set("kind", text)}
        options={[["", "All kinds"], ...kindNames().sort((a, b) => a[1].localeCompare(b[1]))]} />
      {others.map((name) => (
        <button key={name} type="button" onClick={() => set(name, "")} aria-label={`Without the filter ${name}`}>
          {name}: {name === "until" ? when(value(name)) : value(name)} ✕
        </button>
      ))}
      <button id="pause" type="button" aria-pressed={list.isPaused.value} onClick={() => list.pause(!list.isPaused.value)}>
        {list.isPaused.value ? "Resume" : "Pause"}
      </button>
      <SavedViews />
    </div>
  );
}

export function Choice({ id, label, value, options, set: choose }:
  { id: string; label: string; value: string; options: [string, string][]; set: (value: string) => void }) {
  return (
    <>
      <label class="visually-hidden" for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {options.map(([name, title]) => <option key={name} value={name} selected={name === value}>{title}</option>)}
      </select>
    </>
  );
}

function Bulk() {
  const [said, say] = useState("");
  const selected = list.selected.value.size;
  const act = async (state: State) => {
    try {
      say(sentence(await list.act(state)));
      refreshIncidents();
    } catch (error) {
      say(`Not changed: ${sentence((error as RequestError).message)}`);
    }
  };
  const isAll = selected > 0 && selected === list.rows.value.size;
  return (
    <div class="bulk" role="group" aria-label="Selected incidents">
      <label class="pick"><input type="checkbox" checked={isAll} onChange={(event) => list.selectAll(event.currentTarget.checked)} /> All shown</label>
      <span>{selected === 0 ? "None selected" : `${integer.format(selected)} selected`}</span>
      {selected > 0 && STATES.map((state) => (
        <button key={state} type="button" onClick={() => void act(state)}>{STATE_TITLES[state]}</button>
      ))}
      <span role="status">{said}</span>
    </div>
  );
}

// Empty: since when, and how many of the sensors see their traffic.
function Empty() {
  const query = route.value.query;
  const isFiltered = [...query.keys()].length > 0;
  const views = sorted(sensors.value.value?.sensors ?? [], stats.value.value, Date.now());
  const watching = views.filter((view) => view.state !== "revoked");
  const seeing = watching.filter((view) => !view.isTrouble).length;
  const reasons = calm(views).reasons;
  return (
    <div class="empty">
      <p>{emptyText(query, isFiltered, { shown: 0, ...list.reached.value })}</p>
      {!isFiltered && watching.length > 0 && (
        <p>{integer.format(seeing)} of {plural(watching.length, "sensor")} {seeing === 1 ? "is" : "are"} watching.{reasons.length > 0 ? ` Cannot tell: ${reasons.join("; ")}.` : ""}</p>
      )}
      {!isFiltered && watching.length === 0 && <p>No sensor is enrolled: <Command text="sentinel-collector enroll --name home" /></p>}
      {isFiltered && <p><a href={href("incidents")}>Show all</a></p>}
      {list.reached.value.partial && <button type="button" onClick={() => void list.more()}>Search further back</button>}
    </div>
  );
}

function Rows() {
  const incidents = list.sorted.value;
  const rows = useVirtualRows(incidents.length, ROW_HEIGHT, (index) => incidents[index]?.id ?? index);
  const last = rows.items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= incidents.length - 20 && !list.reached.value.partial) void list.more();
  }, [last, incidents.length]);
  useEffect(() => {
    const at = () => incidents.findIndex((incident) => String(incident.id) === (document.activeElement as HTMLElement | null)?.closest("li")?.dataset.id);
    const focus = (index: number, tries: number) => {
      const target = document.querySelector<HTMLElement>(`li[data-index="${index}"] a`);
      if (target !== null) target.focus();
      else if (tries > 0) requestAnimationFrame(() => focus(index, tries - 1));
    };
    return listKeys((by) => {
      const from = at();
      const index = from < 0 ? (rows.items[0]?.index ?? 0) : Math.min(incidents.length - 1, Math.max(0, from + by));
      rows.show(index);
      focus(index, 10);
    }, () => {
      const id = incidents[at()]?.id;
      if (id !== undefined && may("analyst")) list.select(id, !list.selected.value.has(id));
    });
  });
  const canChange = may("analyst");
  return (
    <ul class="rows live" ref={rows.list} style={{ height: `${rows.height}px` }} aria-label="Incidents">
      {rows.items.map((item) => {
        const incident = incidents[item.index];
        if (incident === undefined) return null;
        const choice = { isSelected: list.selected.value.has(incident.id), select: (is: boolean) => list.select(incident.id, is) };
        return (
          <li key={incident.id} ref={rows.measure} data-index={item.index} data-id={incident.id} aria-setsize={incidents.length}
            aria-posinset={item.index + 1} style={{ transform: `translateY(${item.start - rows.margin}px)` }}>
            <IncidentRow incident={incident} {...(canChange ? { choice } : {})} />
          </li>
        );
      })}
    </ul>
  );
}

export function Incidents() {
  const query = route.value.query;
  const text = query.toString();
  useEffect(() => list.search(query), [text]);
  useEffect(() => onAlerts((keys) => list.changed(keys)), []);
  useEffect(() => { if (list.isLoaded.value) list.refresh(); }, [returns.value]);
  useEffect(() => {
    const timer = setInterval(() => { if (!isStale.value && !document.hidden) list.refresh(); }, REFRESH_MS);
    list.refresh();
    return () => clearInterval(timer);
  }, []);
  const { error, isLoaded, reached, missed } = list;
  const shown = list.rows.value.size;
  return (
    <section class="card" aria-labelledby="incidents-title">
      <div class="card-head"><h1 id="incidents-title">Incidents</h1><Filters /></div>
      {error.value !== null && (
        <Failure error={error.value} what="Incidents" again={() => void list.load(false)}
          holds={isLoaded.value ? "What is shown was read before." : "The sensors go on and keep their alerts."} />
      )}
      {!isLoaded.value && error.value === null && <Skeleton what="the stored incidents" rows={8} />}
      {isLoaded.value && shown > 0 && may("analyst") && <Bulk />}
      {isLoaded.value && shown > 0 && <Rows />}
      {isLoaded.value && shown === 0 && <Empty />}
      {isLoaded.value && shown > 0 && (
        <p class="note foot-note" id="incidents-foot" aria-live="polite">
          {footer({ shown, ...reached.value }, query)}
          {reached.value.behind > 0 && ` ${plural(reached.value.behind, "stored alert")} not part of an incident yet.`}
          {missed.value > 0 && " New alerts have arrived while paused."}
          {reached.value.partial && <button type="button" onClick={() => void list.more()}>Search further back</button>}
        </p>
      )}
    </section>
  );
}
