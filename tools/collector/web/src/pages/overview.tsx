// Overview: am I safe?

import { isStale, now } from "../live";
import { Card, Command, Loaded, Time } from "../parts/basic";
import { IncidentRow } from "../parts/incident-row";
import { Timeline } from "../parts/timeline";
import { href } from "../route";
import { type Calm, calm, sorted, type SensorView } from "../sensor-state";
import { needsLook, ongoing, sensors, stats } from "../state";
import { plural } from "../text";
import type { Incident, Verdict as Told } from "../types";

const SHOWN = 8;
const SHOWN_SENSORS = 6;
const GRAIN_MS = 5_000;

interface Verdict {
  level: "attack" | "look" | "unknown" | "quiet";
  title: string;
  lines: string[];
}

const SHOWN_REASONS = 3;

// What the collector says; without it (an older one) what its list of sensors shows.
function judged(views: SensorView[], told: Told | undefined): Calm {
  if (told === undefined) return calm(views);
  const reasons = told.reasons.slice(0, SHOWN_REASONS).map(({ sensor, cause }) => (sensor === null ? cause : `${sensor} ${cause}`));
  if (told.reasons_total > SHOWN_REASONS) reasons.push(`${told.reasons_total - SHOWN_REASONS} more reasons`);
  return { isSure: told.verdict === "quiet", reasons, unreported: null };
}

// Quiet is said only if everything is known; see `calm`.
export function verdict(open: Incident[], isMore: boolean, waiting: number, { isSure, reasons, unreported }: Calm, isBehind: boolean): Verdict {
  const lines = reasons.length > 0 ? [`Cannot tell: ${reasons.join("; ")}.`] : unreported === null ? [] : [unreported];
  if (isBehind) lines.push("Some stored alerts are not part of an incident yet.");
  if (open.length > 0) {
    const number = isMore ? `More than ${open.length} attacks` : plural(open.length, "attack");
    return { level: "attack", title: `${number} under way`, lines };
  }
  const look = waiting > 0 ? `${plural(waiting, "incident")} ${waiting === 1 ? "needs" : "need"} a look` : null;
  if (reasons.length > 0) return { level: "unknown", title: "Cannot tell", lines: [reasonsText(reasons), ...(look === null ? [] : [`${look}.`])] };
  if (look !== null) return { level: "look", title: look, lines };
  if (isSure && !isBehind) return { level: "quiet", title: "Quiet", lines: ["Every sensor is connected and sees its traffic, and all books balance."] };
  return { level: "unknown", title: "No attack is reported", lines };
}

// Names of sensors keep their letters.
const reasonsText = (reasons: string[]): string => `${reasons.join("; ")}.`;

const MARKS = { attack: "▲", look: "●", unknown: "?", quiet: "✓" } as const;

function VerdictBox({ views }: { views: SensorView[] }) {
  const [open, look] = [ongoing.value.value, needsLook.value.value];
  const failed = ongoing.error.value ?? needsLook.error.value ?? sensors.error.value;
  if (isStale.value || failed !== null) {
    const why = failed === null ? "The collector does not answer; what is shown may be old." : "Not everything could be read; what is shown may be old.";
    return <Says verdict={{ level: "unknown", title: "Cannot tell", lines: [why] }} />;
  }
  if (open === null || look === null) return null;
  return <Says verdict={verdict(open.incidents, open.next !== null, look.incidents.length, judged(views, stats.value.value?.verdict), open.behind > 0)} />;
}

function Says({ verdict: { level, title, lines } }: { verdict: Verdict }) {
  return (
    <div class={`verdict ${level}`} role="status">
      <span class="verdict-mark" aria-hidden="true">{MARKS[level]}</span>
      <div>
        <p class="verdict-title" id="verdict">{title}</p>
        {lines.map((line) => <p key={line}>{line}</p>)}
      </div>
    </div>
  );
}

function NeedsLook() {
  return (
    <Card title="Needs a look" id="look-title" live actions={<a href={href("incidents", null, { state: "new" })}>All new incidents</a>}>
      <Loaded of={needsLook} what="Incidents">
        {(page) => (page.incidents.length === 0
          ? <p class="empty">No new incident of medium severity or above{page.reached === null ? "" : <> since <Time at={page.reached} /></>}.</p>
          : (
            <ul class="plain-rows">
              {page.incidents.slice(0, SHOWN).map((incident) => <li key={incident.id}><IncidentRow incident={incident} /></li>)}
              {page.incidents.length > SHOWN && (
                <li class="more"><a href={href("incidents", null, { state: "new", severity: "medium,high,critical" })}>
                  {page.next === null ? `${page.incidents.length - SHOWN} more` : "More"}
                </a></li>
              )}
            </ul>
          ))}
      </Loaded>
    </Card>
  );
}

function Trouble({ views }: { views: SensorView[] }) {
  const trouble = views.filter((one) => one.isTrouble);
  const others = views.filter((one) => one.state === "connected").length;
  return (
    <Card title="Sensors in trouble" id="trouble-title" live actions={<a href={href("sensors")}>All sensors</a>}>
      <Loaded of={sensors} what="Sensors">
        {() => (
          <>
            {trouble.length === 0 && <p class="empty">{views.length === 0 ? "No sensor is enrolled." : `None. ${plural(others, "sensor")} connected, all books balance.`}</p>}
            <ul class="entries">
              {trouble.slice(0, SHOWN_SENSORS).map((one) => (
                <li key={one.sensor.id}>
                  <span class="state" data-state={one.state}><span class="dot" aria-hidden="true" /> {one.title}</span>{" "}
                  <a href={href("sensors", one.sensor.name)}>{one.sensor.name}</a> <span class="by">{one.cause}</span>
                </li>
              ))}
            </ul>
            {trouble.length > SHOWN_SENSORS && <p class="more"><a href={href("sensors")}>{trouble.length - SHOWN_SENSORS} more</a></p>}
          </>
        )}
      </Loaded>
    </Card>
  );
}

// Without a sensor: the two steps that are left.
function FirstSteps() {
  return (
    <Card title="Two steps are left" id="steps-title">
      <ol class="steps">
        <li>Make a token: <a href={href("sensors")}>Sensors, Add a sensor</a>, or here: <Command text="sentinel-collector enroll --name home" /></li>
        <li>On the device: <Command text="sentinel enroll TOKEN" /> It appears here within seconds.</li>
      </ol>
      <p class="pad note">Waiting for the first sensor.</p>
    </Card>
  );
}

export function Overview() {
  const list = sensors.value.value?.sensors ?? null;
  // Ages are written to the second at most every 5 s: rows do not change without need.
  const views = list === null ? [] : sorted(list, stats.value.value, Math.floor(now.value / GRAIN_MS) * GRAIN_MS);
  const isNew = list !== null && list.length === 0 && sensors.error.value === null;
  return (
    <>
      <h1 class="visually-hidden">Overview</h1>
      {list === null && sensors.error.value === null ? <div class="verdict waiting" /> : <VerdictBox views={views} />}
      {isNew && <FirstSteps />}
      <div class="columns">
        <div class="column"><NeedsLook /><Timeline /></div>
        <div class="column"><Trouble views={views} /></div>
      </div>
    </>
  );
}

