// Timeline: incidents by severity in bars, drawn by uPlot, and as a list for those who do not see it.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { onAlerts, returns } from "../live";
import { atMostEach } from "../request";
import { href } from "../route";
import { clock, day, integer, plural, severityTitle } from "../text";
import { theme } from "../theme";
import { readTimeline, SPANS, span, type Timeline as Data, timeline, timelineError } from "../timeline-data";
import { SEVERITIES, type Severity } from "../types";
import { Failure, Skeleton } from "./basic";

const HEIGHT = 132;
const REFRESH_MS = 15_000;

// Totals from each severity upwards: the highest bar is drawn first, and lower ones over it.
function stacked(data: Data): uPlot.AlignedData {
  const layers = SEVERITIES.map((_, lowest) => data.starts.map((_start, index) =>
    SEVERITIES.slice(lowest).reduce((sum, name) => sum + (data.counts[name][index] ?? 0), 0)));
  return [data.starts.map((start) => start / 1000), ...layers] as uPlot.AlignedData;
}

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function axisTime(seconds: number, isDay: boolean): string {
  const date = new Date(seconds * 1000);
  return isDay ? day(date).slice(5) : clock(date).slice(0, 5);
}

function draw(node: HTMLElement, shown: { current: Data }, choose: (index: number) => void): uPlot {
  const data = shown.current;
  const bars = uPlot.paths.bars?.({ size: [0.78, 40], align: 1 });
  const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, font: "12px sans-serif" };
  const start = () => shown.current.starts[0] ?? 0;
  const plot = new uPlot({
    width: node.clientWidth, height: HEIGHT, legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: () => [start() / 1000, (start() + data.span.bar * data.span.bars) / 1000] }, y: { range: (_plot, _least, most) => [0, Math.max(4, most ?? 0)] } },
    axes: [
      { ...axis, space: 70, size: 30, values: (_plot, values) => values.map((value) => axisTime(value, data.span.name === "7d")) },
      { ...axis, size: 40, values: (_plot, values) => values.map((value) => (Number.isInteger(value) ? integer.format(value) : "")) },
    ],
    series: [{}, ...SEVERITIES.map((name) => ({ fill: () => colour(name), width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) }))],
  }, stacked(data), node);
  plot.over.addEventListener("click", () => {
    const left = plot.cursor.left ?? -1;
    if (left >= 0) choose(Math.floor((plot.posToVal(left, "x") * 1000 - start()) / data.span.bar));
  });
  return plot;
}

// Address of the incidents that were going on during a bar.
function barAddress(data: Data, index: number): string {
  const start = data.starts[index] ?? 0;
  return href("incidents", null, { since: new Date(start).toISOString(), until: new Date(start + data.span.bar).toISOString() });
}

function Bars({ data }: { data: Data }) {
  const node = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const place = node.current;
    if (place === null) return undefined;
    const made = draw(place, latest, (index) => {
      if ((latest.current.totals[index] ?? 0) > 0) location.hash = barAddress(latest.current, index);
    });
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT }));
    observer.observe(place);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => made.redraw();
    scheme.addEventListener("change", redraw);
    return () => {
      scheme.removeEventListener("change", redraw);
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [data.span.name]);
  useEffect(() => {
    if (plot.current?.data !== undefined) plot.current.setData(stacked(data));
  }, [data]);
  useEffect(() => plot.current?.redraw(), [theme.value]);
  return <div class="plot" ref={node} aria-hidden="true" />;
}

function Legend({ data }: { data: Data }) {
  const sums = SEVERITIES.map((name) => [name, data.counts[name].reduce((sum, count) => sum + count, 0)] as [Severity, number]);
  return (
    <ul class="legend">
      {sums.toReversed().map(([name, sum]) => <li key={name} data-severity={name}>{severityTitle(name)} {integer.format(sum)}</li>)}
    </ul>
  );
}

function AsList({ data }: { data: Data }) {
  const filled = data.starts.map((start, index) => ({ start, index, total: data.totals[index] ?? 0 })).filter(({ total }) => total > 0);
  if (filled.length === 0) return null;
  return (
    <details class="pad">
      <summary>As a list</summary>
      <ul class="bars">
        {filled.toReversed().map(({ start, index, total }) => (
          <li key={start}><a href={barAddress(data, index)}>{day(new Date(start))} {clock(new Date(start)).slice(0, 5)}: {integer.format(total)}</a></li>
        ))}
      </ul>
    </details>
  );
}

export function Timeline() {
  useEffect(() => {
    const refresh = atMostEach(REFRESH_MS, readTimeline);
    const timer = setInterval(refresh, 60_000);
    const stop = onAlerts(refresh);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, []);
  useEffect(() => void readTimeline(), [span.value, returns.value]);
  const data = timeline.value;
  const shown = data !== null && data.span === span.value ? data : null;
  const spans = (
    <div role="group" aria-label="Span of the timeline" class="spans">
      {SPANS.map((one) => (
        <button key={one.name} type="button" aria-pressed={one === span.value} onClick={() => { span.value = one; }}>{one.title}</button>
      ))}
    </div>
  );
  return (
    <section class="card live" aria-labelledby="timeline-title">
      <div class="card-head"><h2 id="timeline-title">New incidents per {span.value.unit}</h2>{spans}</div>
      {timelineError.value !== null && <Failure error={timelineError.value} what="The timeline" again={() => void readTimeline()} />}
      <div class="plot-room">
        {shown !== null && <Bars data={shown} />}
        {shown === null && timelineError.value === null && <Skeleton what="the timeline" rows={3} />}
      </div>
      {shown !== null && (
        <>
          <p class="pad note">
            {plural(shown.total, "incident")} arrived in the last {shown.span.title}
            {shown.from === null ? "." : `, counted since ${clock(new Date(shown.from))} only: there are too many to count all.`}
          </p>
          <Legend data={shown} />
          <AsList data={shown} />
        </>
      )}
    </section>
  );
}
