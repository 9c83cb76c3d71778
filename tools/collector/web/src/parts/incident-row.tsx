// One incident as a row: severity, time, sensor, kind, sentence.

import { href } from "../route";
import { integer, kindTitle, PHASE_TITLES, STATE_TITLES } from "../text";
import type { Incident } from "../types";
import { Badge, Time } from "./basic";

interface Choice {
  isSelected: boolean;
  select: (isSelected: boolean) => void;
}

export function IncidentRow({ incident, choice }: { incident: Incident; choice?: Choice }) {
  const messages = incident.messages > 1 ? `, ${integer.format(incident.messages)} messages` : "";
  return (
    <div class={incident.phase === "open" ? "row" : "row over"}>
      {choice !== undefined && (
        <label class="pick">
          <input type="checkbox" checked={choice.isSelected} aria-label={`Select incident ${incident.id}`}
            onChange={(event) => choice.select(event.currentTarget.checked)} />
        </label>
      )}
      <Badge severity={incident.severity} />
      <span class="time"><Time at={incident.last_time} /></span>
      <span class="sensor">{incident.sensor}</span>
      <a class="kind" href={href("incidents", incident.id)} data-incident={incident.id}>
        {kindTitle(incident.kind)}<span class="visually-hidden">, incident {incident.id}</span>
      </a>
      <span class="what">
        {incident.summary}
        <span class="tags">
          <span class="phase">{PHASE_TITLES[incident.phase]}{messages}</span>
          {incident.state !== "new" && <span class="tag">{STATE_TITLES[incident.state]}</span>}
          {incident.notes > 0 && <span class="tag">{integer.format(incident.notes)} {incident.notes === 1 ? "note" : "notes"}</span>}
        </span>
      </span>
    </div>
  );
}
