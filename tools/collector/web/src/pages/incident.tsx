// One incident: is it real, and what now?

import { useEffect, useState } from "preact/hooks";
import { facts, reason } from "../evidence";
import { adviceFor } from "../kinds";
import { incidentKey } from "../feed";
import { onAlerts, returns } from "../live";
import { Badge, Card, Facts, Failure, Skeleton, Time } from "../parts/basic";
import { Messages, SameSource } from "../parts/incident-more";
import { type RequestError, request } from "../request";
import { Resource } from "../resource";
import { back, href } from "../route";
import { may, refreshIncidents } from "../state";
import { ended, integer, kindTitle, PHASE_TITLES, sentence, STATE_TITLES, techniqueLink } from "../text";
import { type IncidentDetail, STATES, type State } from "../types";

const resource = new Resource<IncidentDetail>("");
const LATER_MS = [300, 1_500]; // until the collector has made an incident of the alert

function Sentence({ incident }: { incident: IncidentDetail }) {
  return (
    <header class="incident-head">
      <p class="crumb"><a href={href("incidents")} onClick={(event) => { event.preventDefault(); back(); }}>‹ Incidents</a></p>
      <h1><Badge severity={incident.severity} /> {kindTitle(incident.kind)}</h1>
      <p class="note">
        {PHASE_TITLES[incident.phase]}; first <Time at={incident.first_time} />, last <Time at={incident.last_time} />, sensor{" "}
        <a href={href("sensors", incident.sensor)}>{incident.sensor}</a>
      </p>
      <p class="sentence">{ended(incident.summary)}</p>
    </header>
  );
}

function Advice({ incident }: { incident: IncidentDetail }) {
  const advice = adviceFor(incident.kind);
  const why = incident.latest?.evidence === undefined ? null : reason(incident.latest.evidence);
  return (
    <dl class="advice">
      <div><dt>What happened</dt><dd>{advice.what}</dd></div>
      {why !== null && <div><dt>Why it is reported</dt><dd>{why}</dd></div>}
      <div><dt>Harmless if</dt><dd>{advice.harmless}</dd></div>
      <div><dt>What to do</dt><dd>{advice.todo}</dd></div>
    </dl>
  );
}

function Figures({ incident }: { incident: IncidentDetail }) {
  const port = (number: number | null) => (number === null ? "" : `, port ${number}`);
  const end = (address: string | null, number: number | null) => (address === null ? null : `${address}${port(number)}`);
  const state = incident.state_by === null ? STATE_TITLES[incident.state]
    : <>{STATE_TITLES[incident.state]}, by {incident.state_by}, <Time at={incident.state_time ?? incident.updated} /></>;
  return (
    <Card title="Facts" id="facts-title">
      <Facts pairs={[
        ["Source", end(incident.src, incident.src_port)],
        ["Name and hardware", [incident.host, incident.src_mac].filter(Boolean).join(", ")],
        ["Destination", end(incident.dst, incident.dst_port)],
        ...(incident.latest?.evidence === undefined ? [] : facts(incident.latest.evidence)),
        ["First evidence", <Time at={incident.first_time} />],
        ["Last message", <Time at={incident.last_time} />],
        ["Arrived", <Time at={incident.opened} />],
        ["Messages", `${integer.format(incident.messages)}, ${integer.format(incident.suppressed)} more suppressed by the sensor`],
        ["Technique", incident.technique === null ? null : (
          <a href={techniqueLink(incident.technique)} rel="noreferrer" target="_blank">
            MITRE ATT&amp;CK {incident.technique}<span class="visually-hidden"> (opens another site)</span>
          </a>
        )],
        ["State", state],
      ]} />
    </Card>
  );
}

function Actions({ incident, changed }: { incident: IncidentDetail; changed: (next: IncidentDetail) => void }) {
  const [failed, fail] = useState("");
  const [said, say] = useState("");
  const [note, setNote] = useState("");
  const change = async (body: { state?: State; note?: string }) => {
    fail("");
    say("");
    try {
      const next = await request<IncidentDetail>(`/api/v1/incidents/${incident.id}`, {
        method: "PATCH", body, headers: { "If-Match": `"${incident.revision}"` },
      });
      changed(next);
      say(body.state === undefined ? "Note added." : `Marked: ${STATE_TITLES[body.state].toLowerCase()}.`);
      if (body.note !== undefined) setNote("");
      refreshIncidents();
    } catch (error) {
      const of = error as RequestError;
      fail(of.status === 412 ? "Not changed: somebody else was faster. What is shown now is what they did; try again." : `Not changed: ${sentence(of.message)}`);
      if (of.status === 412) void resource.read();
    }
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (note.trim() !== "") void change({ note: note.trim() });
  };
  if (!may("analyst")) return <p class="note">Your role reads only; an analyst can set the state.</p>;
  return (
    <div class="actions">
      <div role="group" aria-label="State" class="states">
        {STATES.map((state) => (
          <button key={state} type="button" aria-pressed={state === incident.state} disabled={state === incident.state}
            onClick={() => void change({ state })}>{STATE_TITLES[state]}</button>
        ))}
      </div>
      <form class="inline" onSubmit={submit}>
        <label class="visually-hidden" for="note">Note about incident {incident.id}</label>
        <input id="note" maxLength={2000} placeholder="Note" value={note} onInput={(event) => setNote(event.currentTarget.value)} />
        <button type="submit">Add note</button>
      </form>
      <p role="status">{said}</p>
      {failed !== "" && <p class="failed" role="alert">{failed}</p>}
    </div>
  );
}

function Changes({ incident }: { incident: IncidentDetail }) {
  return (
    <Card title={`Notes and changes (${integer.format(incident.changes.length)})`} id="changes-title">
      {incident.changes.length === 0 ? <p class="empty">None yet.</p> : (
        <ul class="entries">
          {incident.changes.map((change, index) => (
            <li key={index}>
              {[change.state === null ? null : STATE_TITLES[change.state], change.note].filter(Boolean).join(": ")}
              <span class="by"> {change.by}, <Time at={change.time} /></span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

export function Incident({ id }: { id: string }) {
  resource.at(`/api/v1/incidents/${encodeURIComponent(id)}`);
  const incident = resource.value.value;
  const error = resource.error.value;
  useEffect(() => {
    if (returns.value > 0) resource.refresh();
  }, [returns.value]);
  useEffect(() => onAlerts((keys, isCut) => {
    const shown = resource.value.value;
    if (shown === null || !(isCut || keys.includes(incidentKey(shown.sensor, shown.boot, shown.incident)))) return;
    for (const later of LATER_MS) setTimeout(resource.refresh, later);
  }), []);
  if (incident === null) {
    return (
      <section class="card">
        <h1 class="visually-hidden">Incident {id}</h1>
        {error === null ? <Skeleton what="the incident" rows={6} /> : <Failure error={error} what="The incident" again={() => void resource.read()} />}
        {error !== null && <p class="empty"><a href={href("incidents")}>All incidents</a></p>}
      </section>
    );
  }
  return (
    <div class="incident live">
      {error !== null && <Failure error={error} what="The incident" holds="What is shown was read before." again={() => void resource.read()} />}
      <section class="card incident-main">
        <Sentence incident={incident} />
        <Advice incident={incident} />
        <Actions key={incident.id} incident={incident} changed={(next) => { resource.value.value = next; }} />
      </section>
      <Figures incident={incident} />
      <Messages key={`messages-${incident.id}`} incident={incident} />
      <SameSource key={`source-${incident.id}`} incident={incident} />
      <Changes incident={incident} />
    </div>
  );
}
