// Health of the collector, and what retention has deleted.

import { useEffect } from "preact/hooks";
import { Resource } from "../resource";
import { stats } from "../state";
import { integer, size, span, words } from "../text";
import type { Health, Removed } from "../types";
import { Card, Command, Facts, Loaded, Time } from "./basic";

const REFRESH_MS = 5_000;
const health = new Resource<Health>("/health");

export function HealthPart() {
  useEffect(() => {
    void health.read();
    const timer = setInterval(health.refresh, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <Card title="Health" id="health-title" live>
      <Loaded of={health} what="The health">
        {(value) => (
          <Facts pairs={[
            ["Status", words(value.status)],
            ["Store", value.store === undefined ? null : words(value.store)],
            ["Version", value.version],
            ["Running for", value.uptime_s === undefined ? null : span(value.uptime_s * 1000)],
            ["Sensors connected", value.sensors_connected === undefined ? null : integer.format(value.sensors_connected)],
          ]} />
        )}
      </Loaded>
      <Loaded of={stats} what="The totals">
        {(value) => {
          const limited = Object.entries(value.limited).filter(([name, count]) => count > 0 && !name.startsWith("idle"));
          return (
            <Facts pairs={[
              ["Size of the store", size(value.store_bytes)],
              ["Alerts stored", integer.format(value.alerts.stored)],
              ["Books of all sensors", value.alerts.accounting.text],
              ["Limits of clients that took effect", limited.length === 0 ? "none since the start"
                : limited.map(([name, count]) => `${words(name).toLowerCase()} ${integer.format(count)}`).join(", ")],
            ]} />
          );
        }}
      </Loaded>
    </Card>
  );
}

const WHY = { age: "For their age", size: "For the size of the store", disk: "For the disk" } as const;

export function Retention() {
  const text = (removed: Removed) => (removed.alerts === 0 && removed.incidents === 0 ? "nothing" : (
    <>{integer.format(removed.incidents)} incidents, {integer.format(removed.alerts)} alerts{removed.latest !== null && <>, the latest of <Time at={removed.latest} /></>}</>
  ));
  return (
    <Card title="Retention" id="retention-title">
      <p class="pad">Incidents that are over go as a whole, the oldest first. Open ones never go. What went so far:</p>
      <Loaded of={stats} what="What was deleted">
        {(value) => (
          <Facts pairs={(Object.keys(WHY) as (keyof typeof WHY)[]).map((name) => [WHY[name], text(value.removed[name])])} />
        )}
      </Loaded>
      <p class="pad note">The limits are settings of the program: <Command text="sentinel-collector run --keep-days 90 --keep-size 10240" /></p>
    </Card>
  );
}
