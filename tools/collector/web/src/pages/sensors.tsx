// Sensors: do all see?

import { useEffect, useState } from "preact/hooks";
import { listKeys } from "../keys";
import { now } from "../live";
import { AddSensor } from "../parts/add-sensor";
import { Command, Loaded } from "../parts/basic";
import { useVirtualRows } from "../parts/virtual";
import { href } from "../route";
import { sorted, type SensorView } from "../sensor-state";
import { isAdmin, sensors, stats } from "../state";
import { ago, integer, plural } from "../text";
import { Choice } from "./incidents";

const ROW_HEIGHT = 64;
const GRAIN_MS = 5_000;

const ORDERS: Record<string, (a: SensorView, b: SensorView) => number> = {
  trouble: (a, b) => a.rank - b.rank || a.sensor.name.localeCompare(b.sensor.name),
  name: (a, b) => a.sensor.name.localeCompare(b.sensor.name),
  seen: (a, b) => (b.sensor.last_seen ?? "").localeCompare(a.sensor.last_seen ?? ""),
  alerts: (a, b) => b.sensor.alerts_stored - a.sensor.alerts_stored,
  frames: (a, b) => (b.sensor.frames_per_s ?? -1) - (a.sensor.frames_per_s ?? -1),
};
const ORDER_TITLES: [string, string][] = [
  ["trouble", "Trouble first"], ["name", "By name"], ["seen", "Last seen first"], ["alerts", "Most alerts"], ["frames", "Most frames"],
];

function matches({ sensor, title }: SensorView, text: string): boolean {
  const has = [sensor.name, sensor.host, sensor.peer, sensor.interfaces, title].filter(Boolean).join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => has.includes(word));
}

function Row({ view, at }: { view: SensorView; at: number }) {
  const { sensor } = view;
  const seen = sensor.state === "connected" ? "seen now" : sensor.last_seen === null ? "never seen" : `seen ${ago(sensor.last_seen, at)}`;
  return (
    <div class="row sensor-row">
      <span class="state" data-state={view.state}><span class="dot" aria-hidden="true" /> {view.title}</span>
      <a class="kind" href={href("sensors", sensor.name)}>{sensor.name}</a>
      <span class="seen">{seen}</span>
      <span class="figure">{plural(sensor.alerts_stored, "alert")}</span>
      <span class="figure">{sensor.frames_per_s === null ? "–" : `${integer.format(sensor.frames_per_s)} frames/s`}</span>
      <span class="what">{view.cause}{view.next !== null && <span class="by"> {view.next}</span>}</span>
    </div>
  );
}

function Rows({ views, at }: { views: SensorView[]; at: number }) {
  const rows = useVirtualRows(views.length, ROW_HEIGHT, (index) => views[index]?.sensor.id ?? index);
  useEffect(() => listKeys((by) => {
    const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("li[data-index]");
    const from = focused === null || focused === undefined ? -1 : Number(focused.dataset.index);
    const index = from < 0 ? 0 : Math.min(views.length - 1, Math.max(0, from + by));
    rows.show(index);
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector<HTMLElement>(`li[data-index="${index}"] a`)?.focus()));
  }));
  return (
    <ul class="rows live" ref={rows.list} style={{ height: `${rows.height}px` }} aria-label="Sensors">
      {rows.items.map((item) => {
        const view = views[item.index];
        return view === undefined ? null : (
          <li key={view.sensor.id} ref={rows.measure} data-index={item.index} aria-setsize={views.length} aria-posinset={item.index + 1}
            style={{ transform: `translateY(${item.start - rows.margin}px)` }}><Row view={view} at={at} /></li>
        );
      })}
    </ul>
  );
}

function Empty() {
  return (
    <div class="empty">
      <p>No sensor is enrolled. A token enrolls one:</p>
      <p><Command text="sentinel-collector enroll --name home" /></p>
      <p>On the device: <Command text="sentinel enroll TOKEN" /></p>
    </div>
  );
}

export function Sensors() {
  const [text, setText] = useState("");
  const [order, setOrder] = useState("trouble");
  const list = sensors.value.value?.sensors ?? [];
  const at = Math.floor(now.value / GRAIN_MS) * GRAIN_MS;
  const all = sorted(list, stats.value.value, at);
  const views = all.filter((view) => matches(view, text.trim())).sort(ORDERS[order]);
  const trouble = all.filter((view) => view.isTrouble).length;
  return (
    <section class="card" aria-labelledby="sensors-title">
      <div class="card-head">
        <h1 id="sensors-title">Sensors</h1>
        <div class="controls">
          <label class="visually-hidden" for="filter">Search sensors</label>
          <input id="filter" type="search" maxLength={200} placeholder="/ name, address, state" value={text} autocomplete="off"
            spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
          <Choice id="order" label="Order" value={order} set={setOrder} options={ORDER_TITLES} />
          {isAdmin.value && <AddSensor />}
        </div>
      </div>
      <Loaded of={sensors} what="Sensors" rows={6}>
        {() => (
          <>
            {list.length === 0 && <Empty />}
            {list.length > 0 && (
              <p class="pad note" aria-live="polite">
                {plural(list.length, "sensor")}, {integer.format(trouble)} in trouble{text.trim() === "" ? "" : `, ${integer.format(views.length)} match`}.
              </p>
            )}
            {list.length > 0 && views.length === 0 && <p class="empty">No sensor matches. <button type="button" onClick={() => setText("")}>Show all</button></p>}
            {views.length > 0 && <Rows views={views} at={at} />}
          </>
        )}
      </Loaded>
    </section>
  );
}
