// Users: roles, groups, passwords, log-ins.

import { useEffect, useState } from "preact/hooks";
import { type RequestError, request } from "../request";
import { Resource } from "../resource";
import { me } from "../state";
import { plural, sentence } from "../text";
import type { User } from "../types";
import { Card, Loaded, Time } from "./basic";
import { Confirm } from "./confirm";
import { groupsText, Rights, rightsOf } from "./rights";

const users = new Resource<{ users: User[] }>("/api/v1/users");

function AddUser() {
  const [failed, fail] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const field = (name: string) => (form.elements.namedItem(name) as HTMLInputElement).value;
    fail("");
    try {
      await request("/api/v1/users", { method: "POST", body: { name: field("name").trim(), password: field("password"), ...rightsOf(form) } });
      form.reset();
      users.refresh();
    } catch (error) {
      fail(sentence((error as RequestError).message));
    }
  };
  return (
    <form class="fields pad" onSubmit={(event) => void submit(event)} aria-label="Add a user">
      <div class="field"><label for="user-name">Name</label><input id="user-name" name="name" required maxLength={48} autocomplete="off" /></div>
      <div class="field">
        <label for="user-password">Password (12 characters or more)</label>
        <input id="user-password" name="password" type="password" required minLength={12} maxLength={256} autocomplete="new-password" />
      </div>
      <Rights prefix="user" />
      {failed !== "" && <p class="failed" role="alert">{failed}</p>}
      <p><button type="submit" class="main-button">Add a user</button></p>
    </form>
  );
}

// Rights of a user, and a new password for one who has forgotten it.
function ChangeUser({ user, path }: { user: User; path: string }) {
  const [failed, fail] = useState("");
  const [said, say] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const password = (form.elements.namedItem("password") as HTMLInputElement).value;
    fail("");
    say("");
    try {
      await request(path, { method: "PATCH", body: { ...rightsOf(form), ...(password === "" ? {} : { password }) } });
      say(password === "" ? "Changed." : "Changed; log-ins of the user have ended.");
      users.refresh();
    } catch (error) {
      fail(sentence((error as RequestError).message));
    }
  };
  return (
    <details>
      <summary>Change {user.name}</summary>
      <form class="fields pad" onSubmit={(event) => void submit(event)} aria-label={`Change ${user.name}`}>
        <Rights prefix={`of-${user.name}`} role={user.role} groups={user.groups} />
        <div class="field">
          <label for={`of-${user.name}-password`}>New password (empty: as it is)</label>
          <input id={`of-${user.name}-password`} name="password" type="password" minLength={12} maxLength={256} autocomplete="new-password" />
        </div>
        {failed !== "" && <p class="failed" role="alert">{failed}</p>}
        <p role="status">{said}</p>
        <p><button type="submit">Save</button></p>
      </form>
    </details>
  );
}

function Row({ user }: { user: User }) {
  const path = `/api/v1/users/${encodeURIComponent(user.name)}`;
  const done = () => users.refresh();
  return (
    <li class="item">
      <p><strong>{user.name}</strong> {user.role}, {groupsText(user.groups)}
        <span class="by"> since <Time at={user.created} />, {plural(user.logins, "log-in")}{user.totp ? ", one-time codes" : ""}</span></p>
      {user.name !== me.value.value?.user && <ChangeUser user={user} path={path} />}
      <div class="actions">
        {user.logins > 0 && <Confirm title="End log-ins" question={`${user.name} has to log in again.`} path={`${path}/logins`} options={{ method: "DELETE" }} done={done} />}
        {user.totp && <Confirm title="Take one-time codes away" question="The password alone logs in then." path={path} options={{ method: "PATCH", body: { totp: false } }} done={done} />}
        {user.name !== me.value.value?.user && <Confirm title="Remove" question={`Remove ${user.name}?`} path={path} options={{ method: "DELETE" }} done={done} />}
      </div>
    </li>
  );
}

export function Users() {
  useEffect(() => void users.read(), []);
  return (
    <Card title="Users" id="users-title">
      <Loaded of={users} what="Users">
        {({ users: list }) => <ul class="items">{list.map((user) => <Row key={user.name} user={user} />)}</ul>}
      </Loaded>
      <AddUser />
    </Card>
  );
}
