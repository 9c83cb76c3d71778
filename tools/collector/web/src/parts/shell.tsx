// Frame of every page: menu, state of the connection, search, who is logged in, and the keys.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { contactAt, isStale, link, storeStatus } from "../live";
import { href, type PageName, route } from "../route";
import { logOut, me, needsLook, sensors } from "../state";
import { integer, zone } from "../text";
import { setTheme, theme } from "../theme";
import { THEMES, type Theme } from "../theme-name";
import { asOf } from "./basic";
import { helpOpen } from "./help";

const PAGES: [PageName, string][] = [
  ["overview", "Overview"], ["incidents", "Incidents"], ["sensors", "Sensors"], ["settings", "Settings"],
];

function count(page: PageName): string | null {
  if (page === "incidents") {
    const value = needsLook.value.value;
    if (value === null || value.incidents.length === 0) return null;
    return value.next === null ? integer.format(value.incidents.length) : `${value.incidents.length}+`;
  }
  if (page === "sensors") {
    const all = sensors.value.value?.sensors.filter((sensor) => sensor.state !== "revoked") ?? null;
    if (all === null || all.length === 0) return null;
    const isPresent = (state: string) => !["offline", "enrolled", "never_connected", "returning"].includes(state);
    return `${integer.format(all.filter((sensor) => isPresent(sensor.state)).length)}/${integer.format(all.length)}`;
  }
  return null;
}

function Menu() {
  return (
    <nav aria-label="Pages">
      <ul class="menu">
        {PAGES.map(([page, title]) => {
          const number = count(page);
          return (
            <li key={page}>
              <a href={href(page)} aria-current={route.value.page === page ? "page" : undefined}>
                {title}{number !== null && <span class="count live">{number}</span>}
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

function linkText(): [state: string, text: string] {
  if (isStale.value) return ["down", `As of ${asOf(contactAt.value)}: the collector does not answer, trying again`];
  if (storeStatus.value !== "ok") return ["down", "The collector cannot store or read alerts: see Settings, Health"];
  if (link.value === "polling") return ["up", "Live, every 3 s: the collector has no event stream left"];
  return link.value === "up" ? ["up", "Live"] : ["wait", "Connecting"];
}

function Link() {
  const [state, text] = linkText();
  return (
    <p class="link" id="link" role="status" data-state={state}>
      <span class="dot" aria-hidden="true" /><span>{text}</span>
    </p>
  );
}

// The list of incidents has a search field of its own.
function Search() {
  if (route.value.page === "incidents" && route.value.item === null) return <span class="search" />;
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem("q") as HTMLInputElement;
    location.hash = href("incidents", null, field.value.trim() === "" ? {} : { q: field.value.trim() });
  };
  return (
    <form class="search" role="search" onSubmit={search}>
      <label class="visually-hidden" for="search">Search all stored incidents</label>
      <input id="search" name="q" type="search" maxLength={200} placeholder="/ search incidents" autocomplete="off" spellcheck={false} />
    </form>
  );
}

function Who() {
  const value = me.value.value;
  return (
    <div class="who">
      <label class="visually-hidden" for="theme">Colours</label>
      <select id="theme" value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
        {THEMES.map((name) => <option key={name} value={name}>{name === "system" ? "System colours" : `${name.charAt(0).toUpperCase()}${name.slice(1)}`}</option>)}
      </select>
      <button type="button" class="quiet" aria-label="Help with keys" onClick={() => { helpOpen.value = true; }}>?</button>
      {value?.via === "password" && <span class="name">{value.user} ({value.role})</span>}
      {value?.via === "password" && <button id="log-out" type="button" onClick={() => void logOut()}>Log out</button>}
    </div>
  );
}

// The page is entered at its heading, so that a screen reader says where it is.
export function Shell({ children }: { children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const place = `${route.value.page}/${route.value.item ?? ""}`;
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [place]);
  useEffect(() => { document.documentElement.dataset.stale = String(isStale.value); }, [isStale.value]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the page</a>
      <header class="bar">
        <a class="brand" href={href("overview")}><span class="mark" aria-hidden="true" />Sentinel</a>
        <Search />
        <Link />
        <Who />
        <Menu />
      </header>
      <main id="main" tabIndex={-1} ref={main}>{children}</main>
      <footer class="foot">Times are local ({zone()}); pointing at one shows UTC. Keys: <kbd>?</kbd></footer>
    </>
  );
}
