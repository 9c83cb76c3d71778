// API keys. A new one is shown once.

import { useEffect, useState } from "preact/hooks";
import { type RequestError, request } from "../request";
import { Resource } from "../resource";
import { sentence } from "../text";
import type { ApiKey } from "../types";
import { Card, Command, Loaded, Time } from "./basic";
import { Confirm } from "./confirm";
import { groupsText, Rights, rightsOf } from "./rights";

const keys = new Resource<{ keys: ApiKey[] }>("/api/v1/keys");

function AddKey() {
  const [failed, fail] = useState("");
  const [made, setMade] = useState<string | null>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const field = (name: string) => (form.elements.namedItem(name) as HTMLInputElement).value.trim();
    fail("");
    setMade(null);
    try {
      const expires = field("expires");
      const body = { name: field("name"), ...rightsOf(form), ...(expires === "" ? {} : { expires }) };
      setMade((await request<{ key: string }>("/api/v1/keys", { method: "POST", body })).key);
      form.reset();
      keys.refresh();
    } catch (error) {
      fail(sentence((error as RequestError).message));
    }
  };
  return (
    <form class="fields pad" onSubmit={(event) => void submit(event)} aria-label="Add a key">
      <div class="field"><label for="key-name">Name</label><input id="key-name" name="name" required maxLength={48} autocomplete="off" /></div>
      <Rights prefix="key" />
      <div class="field"><label for="key-expires">Ends after</label><input id="key-expires" name="expires" maxLength={10} placeholder="90d; empty: never" autocomplete="off" /></div>
      {failed !== "" && <p class="failed" role="alert">{failed}</p>}
      <div role="status">{made !== null && <p>The key, shown once, for the header X-API-Key: <Command text={made} /></p>}</div>
      <p><button type="submit" class="main-button">Add a key</button></p>
    </form>
  );
}

export function Keys() {
  useEffect(() => void keys.read(), []);
  return (
    <Card title="API keys" id="keys-title">
      <Loaded of={keys} what="Keys">
        {({ keys: list }) => (list.length === 0 ? <p class="empty">None. Programs and <code>watch</code> on other machines need one.</p> : (
          <ul class="items">
            {list.map((key) => (
              <li key={key.name} class="item">
                <p><strong>{key.name}</strong> {key.role}, {groupsText(key.groups)}
                  <span class="by"> made <Time at={key.created} />, {key.expires === null ? "never ends" : <>ends <Time at={key.expires} /></>},{" "}
                    {key.last_used === null ? "never used" : <>last used <Time at={key.last_used} /></>}</span></p>
                <Confirm title="Remove" question={`Programs with the key ${key.name} are refused then.`} path={`/api/v1/keys/${encodeURIComponent(key.name)}`}
                  options={{ method: "DELETE" }} done={() => keys.refresh()} />
              </li>
            ))}
          </ul>
        ))}
      </Loaded>
      <AddKey />
    </Card>
  );
}
