// Places of the page: the part of the address behind `#`, so that the collector serves one document.

import { signal } from "@preact/signals";

export type PageName = "overview" | "incidents" | "sensors" | "settings";

export interface Route {
  page: PageName;
  // Incident or sensor, or part of the settings.
  item: string | null;
  query: URLSearchParams;
}

const PAGES: readonly string[] = ["overview", "incidents", "sensors", "settings"];

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [page = "", item = ""] = path.split("/");
  return {
    page: PAGES.includes(page) ? (page as PageName) : "overview",
    item: item === "" ? null : decoded(item),
    query: new URLSearchParams(query),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function href(page: PageName, item?: string | number | null, query: Record<string, string> = {}): string {
  const path = item === undefined || item === null ? `#/${page}` : `#/${page}/${encodeURIComponent(String(item))}`;
  const text = new URLSearchParams(query).toString();
  return text === "" ? path : `${path}?${text}`;
}

export const route = signal<Route>(parse(location.hash));

// Address that is shown, and that of the list from which an item was opened: `Esc` goes there.
let shown = location.hash;
let list = "";

export function follow(): void {
  if (route.value.item === null) list = shown;
  shown = location.hash;
  route.value = parse(shown);
}

export function back(): void {
  // A key may come before the event of the address that changed.
  if (location.hash !== shown) follow();
  const { page, item } = route.value;
  if (item === null) {
    if (page !== "overview") location.hash = "#/overview";
    return;
  }
  location.hash = list === "" ? `#/${page}` : list;
}

// Changes the query of the present place without another entry in the history.
export function setQuery(query: URLSearchParams): void {
  const { page, item } = route.value;
  const hash = href(page, item, Object.fromEntries(query));
  history.replaceState(null, "", hash);
  shown = hash;
  route.value = parse(hash);
}
