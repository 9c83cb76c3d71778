// Messages of an incident, and other incidents of its source.

import { useEffect, useState } from "preact/hooks";
import { type RequestError, request } from "../request";
import { Resource } from "../resource";
import { href } from "../route";
import { integer, kindTitle, plural } from "../text";
import type { Alert, IncidentDetail, IncidentPage, Messages as MessagePage } from "../types";
import { Badge, Card, Failure, Loaded, Skeleton, Time } from "./basic";

const MESSAGE_ROWS = 20;
const MAX_MESSAGES = 100; // rows in the document
const SAME_ROWS = 50;
const SHOWN = 5;

export function Messages({ incident }: { incident: IncidentDetail }) {
  const [rows, setRows] = useState<Alert[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const load = async (cursor: string | null) => {
    setError(null);
    const path = `/api/v1/incidents/${incident.id}/messages?limit=${MESSAGE_ROWS}`;
    try {
      const page = await request<MessagePage>(cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`);
      setRows((before) => (cursor === null ? page.messages : [...(before ?? []), ...page.messages]));
      setNext(page.next);
    } catch (failed) {
      setError(failed as RequestError);
    }
  };
  useEffect(() => { void load(null); }, [incident.messages]);
  const count = rows?.length ?? 0;
  return (
    <Card title={`Messages (${integer.format(incident.messages)})`} id="messages-title">
      {error !== null && <Failure error={error} what="Messages" again={() => void load(null)} />}
      {rows === null && error === null && <Skeleton what="the messages" rows={3} />}
      <ul class="entries">
        {rows?.map((message, index) => (
          <li key={message.id ?? index}>{message.summary}<span class="by"> {message.phase ?? ""} <Time at={message.time} /></span></li>
        ))}
      </ul>
      {next !== null && count < MAX_MESSAGES && <p class="more"><button type="button" onClick={() => void load(next)}>Show more</button></p>}
      {next !== null && count >= MAX_MESSAGES && <p class="note pad">The latest {MAX_MESSAGES} are shown.</p>}
    </Card>
  );
}

export function SameSource({ incident }: { incident: IncidentDetail }) {
  const [same] = useState(() => (incident.src === null ? null
    : new Resource<IncidentPage>(`/api/v1/incidents?src=${encodeURIComponent(incident.src)}&limit=${SAME_ROWS}`)));
  useEffect(() => { void same?.read(); }, [same]);
  if (same === null || incident.src === null) return null;
  const source = incident.src;
  return (
    <Card title="Same source" id="same-title">
      <Loaded of={same} what="Incidents of the same source" rows={2}>
        {(page) => {
          const others = page.incidents.filter((other) => other.id !== incident.id);
          const places = new Set(page.incidents.map((other) => other.sensor)).size;
          if (others.length === 0) return <p class="empty">No other incident of {source} is stored.</p>;
          return (
            <>
              <p class="pad">{page.next === null ? "" : "At least "}{plural(others.length, "other incident")} of {source}, at {plural(places, "sensor")}.{" "}
                <a href={href("incidents", null, { src: source })}>Show all</a></p>
              <ul class="entries">
                {others.slice(0, SHOWN).map((other) => (
                  <li key={other.id}>
                    <Badge severity={other.severity} /> <a href={href("incidents", other.id)}>{kindTitle(other.kind)}</a>{" "}
                    <span class="by">{other.sensor}, <Time at={other.last_time} /></span>
                  </li>
                ))}
              </ul>
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}
