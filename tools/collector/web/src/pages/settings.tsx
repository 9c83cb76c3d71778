// Settings: what exists for the role of the reader.

import { Account } from "../parts/account-settings";
import { Audit } from "../parts/audit";
import { HealthPart, Retention } from "../parts/health";
import { Keys } from "../parts/keys";
import { Users } from "../parts/users";
import { href, route } from "../route";
import { isAdmin, me } from "../state";

interface Part {
  name: string;
  title: string;
  isFor: () => boolean;
  show: () => preact.JSX.Element;
}

const PARTS: Part[] = [
  { name: "health", title: "Health", isFor: () => true, show: () => <HealthPart /> },
  { name: "retention", title: "Retention", isFor: () => true, show: () => <Retention /> },
  { name: "account", title: "Your account", isFor: () => me.value.value?.via === "password", show: () => <Account /> },
  { name: "users", title: "Users", isFor: () => isAdmin.value, show: () => <Users /> },
  { name: "keys", title: "API keys", isFor: () => isAdmin.value, show: () => <Keys /> },
  { name: "audit", title: "Audit", isFor: () => isAdmin.value, show: () => <Audit /> },
];

export function Settings() {
  const shown = PARTS.filter((part) => part.isFor());
  const part = shown.find(({ name }) => name === (route.value.item ?? "health"));
  return (
    <>
      <h1>Settings</h1>
      <nav aria-label="Parts of the settings">
        <ul class="menu parts">
          {shown.map(({ name, title }) => (
            <li key={name}><a href={href("settings", name)} aria-current={part?.name === name ? "page" : undefined}>{title}</a></li>
          ))}
        </ul>
      </nav>
      {part === undefined ? <p class="card empty">This part of the settings needs another role.</p> : part.show()}
    </>
  );
}
