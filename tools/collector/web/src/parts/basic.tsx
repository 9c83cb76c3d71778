// Small parts that every page uses.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { RequestError } from "../request";
import type { Resource } from "../resource";
import { clock, sentence, severityTitle, utc, when } from "../text";
import type { Severity } from "../types";

// Time after which a skeleton is shown: a quick answer shows none.
const SKELETON_MS = 200;

export function Time({ at }: { at: string }) {
  return <time dateTime={at} title={utc(at)}>{when(at)}</time>;
}

export function Badge({ severity }: { severity: Severity | null }) {
  return <span class={`badge ${severity ?? "info"}`}>{severityTitle(severity)}</span>;
}

export function Skeleton({ rows = 4, what }: { rows?: number; what: string }) {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SKELETON_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="skeleton" role="status" aria-busy="true">
      <span class="visually-hidden">{isLate ? `Reading ${what}` : ""}</span>
      {Array.from({ length: rows }, (_, row) => <div key={row} class={isLate ? "bone" : "bone waiting"} />)}
    </div>
  );
}

// Error: what failed, what still holds, and another try.
export function Failure({ error, what, holds, again }: { error: RequestError; what: string; holds?: string; again: () => void }) {
  return (
    <div class="failure" role="alert">
      <p><strong>{what} cannot be read.</strong> {sentence(error.message)} {holds ?? ""}</p>
      <button type="button" onClick={again}>Try again</button>
    </div>
  );
}

export function Command({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 3_000);
    } catch {
      setCopied(false);
    }
  };
  return (
    <span class="command">
      <code>{text}</code>
      <button type="button" aria-label={`Copy ${text}`} onClick={() => void copy()}>{isCopied ? "Copied" : "Copy"}</button>
      <span class="visually-hidden" role="status">{isCopied ? "Copied" : ""}</span>
    </span>
  );
}

export function Card({ title, id, actions, children, live = false }:
  { title: string; id: string; actions?: ComponentChildren; children: ComponentChildren; live?: boolean }) {
  return (
    <section class={live ? "card live" : "card"} aria-labelledby={id}>
      <div class="card-head"><h2 id={id}>{title}</h2>{actions}</div>
      {children}
    </section>
  );
}

// An answer in its states: not there yet, failed, there. A failure beside an older answer names what still holds.
export function Loaded<T>({ of, what, rows = 4, children }:
  { of: Resource<T>; what: string; rows?: number; children: (value: T) => ComponentChildren }) {
  const value = of.value.value;
  const error = of.error.value;
  const again = () => void of.read();
  if (value === null) {
    return error === null ? <Skeleton what={what.toLowerCase()} rows={rows} /> : <Failure error={error} what={what} again={again} />;
  }
  return (
    <>
      {error !== null && <Failure error={error} what={what} holds="What is shown was read before." again={again} />}
      {children(value)}
    </>
  );
}

export function Facts({ pairs }: { pairs: [string, ComponentChildren][] }) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return (
    <dl class="facts">
      {shown.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

export const asOf = (at: number): string => clock(new Date(at));
