// Audit: who changed what, newest first.

import { useEffect, useState } from "preact/hooks";
import { type RequestError, request } from "../request";
import { words } from "../text";
import type { AuditRow } from "../types";
import { Card, Command, Failure, Skeleton, Time } from "./basic";

const PAGE_ROWS = 50;
const MAX_ROWS = 150; // in the document

interface Page {
  audit: AuditRow[];
  next: string | null;
}

export function Audit() {
  const [rows, setRows] = useState<AuditRow[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const load = async (cursor: string | null) => {
    setError(null);
    try {
      const page = await request<Page>(`/api/v1/audit?limit=${PAGE_ROWS}${cursor === null ? "" : `&cursor=${cursor}`}`);
      // Older rows replace the newest ones once the document is full.
      setRows((before) => (cursor === null ? page.audit : [...(before ?? []), ...page.audit].slice(-MAX_ROWS)));
      setNext(page.next);
    } catch (failed) {
      setError(failed as RequestError);
    }
  };
  useEffect(() => void load(null), []);
  return (
    <Card title="Audit" id="audit-title" actions={<button type="button" onClick={() => void load(null)}>Newest</button>}>
      {error !== null && <Failure error={error} what="The audit" again={() => void load(null)} />}
      {rows === null && error === null && <Skeleton what="the audit" rows={6} />}
      <ul class="entries">
        {rows?.map((row) => (
          <li key={row.id}>
            <strong>{words(row.what)}</strong> {row.detail} <span class={row.result === "done" || row.result === "ok" ? "tag" : "tag warn"}>{row.result}</span>
            <span class="by"> {row.who}, {row.whence}, <Time at={row.time} />, row {row.id}</span>
          </li>
        ))}
      </ul>
      {next !== null && <p class="more"><button type="button" onClick={() => void load(next)}>Show older</button></p>}
      <p class="pad note">Each row is chained to the one before: <Command text="sentinel-collector audit --verify" /></p>
    </Card>
  );
}
