// Searches that are kept in this browser under a name.

import { signal } from "@preact/signals";
import { href, route } from "../route";

const KEY = "views";
const MAX_VIEWS = 20;
const MAX_NAME_LEN = 40;

interface View {
  name: string;
  query: string;
}

function stored(): View[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    if (!Array.isArray(list)) return [];
    return list.filter((view): view is View => typeof view?.name === "string" && typeof view?.query === "string").slice(0, MAX_VIEWS);
  } catch {
    return [];
  }
}

const views = signal<View[]>(stored());
const isNaming = signal(false);

function keep(list: View[]): void {
  views.value = list.slice(0, MAX_VIEWS);
  try {
    localStorage.setItem(KEY, JSON.stringify(views.value));
  } catch {
    // Kept until the page is closed.
  }
}

function save(event: SubmitEvent): void {
  event.preventDefault();
  const field = (event.currentTarget as HTMLFormElement).elements.namedItem("view-name") as HTMLInputElement;
  const name = field.value.trim();
  if (name === "") return;
  keep([...views.value.filter((view) => view.name !== name), { name, query: route.value.query.toString() }]);
  isNaming.value = false;
}

export function SavedViews() {
  const query = route.value.query.toString();
  const present = views.value.find((view) => view.query === query);
  const isSaveable = query !== "" && present === undefined && views.value.length < MAX_VIEWS;
  return (
    <>
      {views.value.length > 0 && (
        <>
          <label class="visually-hidden" for="views">Saved views</label>
          <select id="views" value={present?.name ?? ""}
            onChange={(event) => {
              const found = views.value.find((view) => view.name === event.currentTarget.value);
              location.hash = href("incidents", null, Object.fromEntries(new URLSearchParams(found?.query ?? "")));
            }}>
            <option value="">Saved views</option>
            {views.value.map((view) => <option key={view.name} value={view.name}>{view.name}</option>)}
          </select>
        </>
      )}
      {present !== undefined && <button type="button" onClick={() => keep(views.value.filter((view) => view !== present))}>Forget view</button>}
      {isSaveable && !isNaming.value && <button type="button" onClick={() => { isNaming.value = true; }}>Save view</button>}
      {isSaveable && isNaming.value && (
        <form class="inline" onSubmit={save}>
          <label class="visually-hidden" for="view-name">Name of the view</label>
          <input id="view-name" name="view-name" maxLength={MAX_NAME_LEN} placeholder="Name of the view" required autofocus />
          <button type="submit">Save</button>
        </form>
      )}
    </>
  );
}
