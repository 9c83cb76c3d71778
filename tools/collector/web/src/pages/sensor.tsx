// One sensor: state with cause and next step, its books, what it sees, its identity.

import { now } from "../live";
import { Card, Command, Facts, Loaded, Time } from "../parts/basic";
import { Confirm } from "../parts/confirm";
import { href } from "../route";
import { view } from "../sensor-state";
import { isAdmin, sensors, stats } from "../state";
import { ago, integer, plural, sentence, size, span, words } from "../text";
import type { Sensor as SensorStatus } from "../types";

const GRAIN_MS = 5_000;
const COMMAND = /^(?:On the device: )?(sentinel(?:-collector)? .+)$/;

function State({ sensor }: { sensor: SensorStatus }) {
  const shown = view(sensor, stats.value.value, Math.floor(now.value / GRAIN_MS) * GRAIN_MS);
  const others = (sensor.problems ?? []).slice(1);
  const command = shown.next === null ? null : COMMAND.exec(shown.next)?.[1];
  return (
    <header class="card incident-head">
      <p class="crumb"><a href={href("sensors")}>‹ Sensors</a></p>
      <h1>{sensor.name}</h1>
      <p class="sentence"><span class="state" data-state={shown.state}><span class="dot" aria-hidden="true" /> {shown.title}</span> {shown.cause}</p>
      {others.map((problem) => <p key={problem.cause} class="note">Also {words(problem.state).toLowerCase()}: {sentence(problem.cause)} {problem.next_step}</p>)}
      {shown.next !== null && <p>Next: {command ? <Command text={command} /> : shown.next}</p>}
      <p><a href={href("incidents", null, { sensor: sensor.name })}>Its incidents</a></p>
    </header>
  );
}

function Books({ sensor }: { sensor: SensorStatus }) {
  const counter = (name: string) => sensor.telemetry?.[name];
  const number = (value: number | undefined) => (value === undefined ? null : integer.format(value));
  return (
    <Card title="Books" id="books-title" live>
      <p class="pad">{sentence(sensor.accounting.text)}</p>
      <Facts pairs={[
        ["Alerts stored", integer.format(sensor.alerts_stored)],
        ["Lost, as it reported", integer.format(sensor.alerts_lost)],
        ["Missing, never mentioned", integer.format(sensor.alerts_missing)],
        ["Missing since the restored backup", sensor.alerts_missing_since_restore ? integer.format(sensor.alerts_missing_since_restore) : null],
        ["Clock off by", typeof sensor.clock_off_ms === "number" ? `${(sensor.clock_off_ms / 1000).toFixed(1)} s` : null],
        ["Sent twice", integer.format(sensor.alerts_duplicate)],
        ["Raised since its start", number(counter("alerts_raised"))],
        ["Delivered since its start", number(counter("alerts_delivered"))],
        ["Evicted from its spool", number(counter("alerts_evicted"))],
        ["Spool", counter("spool_bytes") === undefined ? null : size(counter("spool_bytes") ?? 0)],
        ["Unclean runs", integer.format(sensor.runs_unclean)],
        ["Noted by", sensor.runs_acknowledged === null ? null
          : <>{sensor.runs_acknowledged.by}, {plural(sensor.runs_acknowledged.runs, "run")}, <Time at={sensor.runs_acknowledged.time} /></>],
        ["Space in the store", size(sensor.stored_bytes)],
        ["Limits that took effect", sensor.limit_hits === 0 ? null : `${integer.format(sensor.limit_hits)}, last: ${sensor.last_limit ?? ""}`],
      ]} />
    </Card>
  );
}

// What it sees of its interfaces, and what it cannot look at.
function Visibility({ sensor }: { sensor: SensorStatus }) {
  const telemetry = sensor.telemetry;
  const share = typeof sensor.seen_percent === "number" ? `${sensor.seen_percent} %` : "not reported by this sensor";
  const count = (name: string) => integer.format(telemetry?.[name] ?? 0);
  return (
    <Card title="Visibility" id="visibility-title" live>
      {telemetry === null ? <p class="empty">It has not sent figures yet; it does within a minute of connecting.</p> : (
        <Facts pairs={[
          ["Interfaces", sensor.interfaces],
          ["Share of their bytes", share],
          ["Frames a second", sensor.frames_per_s === null ? "not yet measured" : integer.format(sensor.frames_per_s)],
          ["Frames seen", count("frames_seen")],
          ["Analysed", count("frames_analysed")],
          ["Excluded by its filter", count("frames_filtered")],
          ["Dropped by the kernel", count("frames_dropped")],
          ["Ring full", `${count("ring_freezes")} times`],
          ["Canary frames missed", count("canaries_missed")],
          ["Table entries evicted", count("table_evictions")],
          ["Measured", <>{sensor.telemetry_time !== null && <Time at={sensor.telemetry_time} />}</>],
        ]} />
      )}
    </Card>
  );
}

function Identity({ sensor }: { sensor: SensorStatus }) {
  const uptime = sensor.telemetry?.uptime_ms;
  return (
    <Card title="Device" id="device-title">
      <Facts pairs={[
        ["Host", sensor.host],
        ["Software", sensor.software],
        ["Address", sensor.peer],
        ["Connected since", sensor.connected_since === null ? null : <Time at={sensor.connected_since} />],
        ["Last seen", sensor.last_seen === null ? "never" : <><Time at={sensor.last_seen} /> ({ago(sensor.last_seen, now.value)})</>],
        ["Running for", uptime === undefined ? null : span(uptime)],
        ["Memory", sensor.telemetry?.resident_kib === undefined ? null : size(sensor.telemetry.resident_kib * 1024)],
        ["Reconnects", sensor.telemetry?.reconnects === undefined ? null : integer.format(sensor.telemetry.reconnects)],
        ["Settings set aside", (sensor.telemetry?.settings_set_aside ?? 0) === 0 ? null : integer.format(sensor.telemetry?.settings_set_aside ?? 0)],
        ["Enrolled", <Time at={sensor.enrolled} />],
        ["Key since", sensor.key_since === null ? null : <Time at={sensor.key_since} />],
        ["Public key", <code class="long">{sensor.public_key}</code>],
        ["Head of its log", sensor.log === null ? null : <code class="long">{sensor.log.head}</code>],
      ]} />
    </Card>
  );
}

function Changes({ sensor }: { sensor: SensorStatus }) {
  const path = `/api/v1/sensors/${encodeURIComponent(sensor.name)}`;
  const done = () => sensors.refresh();
  return (
    <Card title="Changes" id="changes-title">
      <div class="actions pad">
        {sensor.runs_unclean > 0 && (
          <Confirm title="Note unclean runs" question={`You know of the ${plural(sensor.runs_unclean, "unclean run")}?`}
            path={`${path}/acknowledge`} options={{ method: "POST" }} done={done} />
        )}
        <Confirm title="Replace its key" question="It replaces its key in its next session." path={`${path}/rotate`} options={{ method: "POST" }} done={done} />
        <Confirm title="Revoke" question={`${sensor.name} is refused from now on, and has to be enrolled again.`} path={path}
          options={{ method: "DELETE" }} done={done} />
      </div>
    </Card>
  );
}

export function Sensor({ name }: { name: string }) {
  if (sensors.value.value === null) {
    return (
      <section class="card">
        <h1>{name}</h1>
        <Loaded of={sensors} what="The sensor" rows={6}>{() => null}</Loaded>
      </section>
    );
  }
  return (
    <Loaded of={sensors} what="The sensor" rows={6}>
      {({ sensors: list }) => {
        const sensor = list.find((one) => one.name === name);
        if (sensor === undefined) {
          return <section class="card"><h1>{name}</h1><p class="empty">There is no such sensor. <a href={href("sensors")}>All sensors</a></p></section>;
        }
        return (
          <div class="incident">
            <State sensor={sensor} />
            <Books sensor={sensor} />
            <Visibility sensor={sensor} />
            <Identity sensor={sensor} />
            {isAdmin.value && sensor.state !== "revoked" && <Changes sensor={sensor} />}
          </div>
        );
      }}
    </Loaded>
  );
}
