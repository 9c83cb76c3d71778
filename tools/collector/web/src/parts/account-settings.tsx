// The own account: password, one-time codes, log-ins.

import { useState } from "preact/hooks";
import { type RequestError, request } from "../request";
import { me } from "../state";
import { sentence } from "../text";
import { Card, Command } from "./basic";
import { Confirm } from "./confirm";

type Fields = Record<string, string>;

function Form({ title, fields, act }: { title: string; fields: [name: string, label: string, type: "password" | "text", complete: string][]; act: (fields: Fields) => Promise<string> }) {
  const [failed, fail] = useState("");
  const [said, say] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    fail("");
    say("");
    try {
      say(await act(Object.fromEntries(fields.map(([name]) => [name, (form.elements.namedItem(name) as HTMLInputElement).value]))));
      form.reset();
    } catch (error) {
      fail(sentence((error as RequestError).message));
    }
  };
  return (
    <form class="fields pad" onSubmit={(event) => void submit(event)} aria-label={title}>
      {fields.map(([name, label, type, complete]) => (
        <div class="field" key={name}>
          <label for={`own-${name}`}>{label}</label>
          {type === "password"
            ? <input id={`own-${name}`} name={name} type="password" required maxLength={256} autocomplete={complete} />
            : <input id={`own-${name}`} name={name} type="text" required maxLength={256} autocomplete={complete} />}
        </div>
      ))}
      {failed !== "" && <p class="failed" role="alert">{failed}</p>}
      <p role="status">{said}</p>
      <p><button type="submit" class="main-button">{title}</button></p>
    </form>
  );
}

async function changePassword({ password, new_password }: Fields): Promise<string> {
  await request("/api/v1/me/password", { method: "POST", body: { password, new_password } });
  await me.read();
  return "The password is changed, and every log-in has ended.";
}

function Totp() {
  const [offer, setOffer] = useState<{ secret: string; password: string } | null>(null);
  if (me.value.value?.totp === true) {
    return <Form title="Do without one-time codes" fields={[["password", "Password, to go without one-time codes", "password", "current-password"]]}
      act={async ({ password }) => {
        await request("/api/v1/me/totp", { method: "DELETE", body: { password } });
        await me.read();
        return "The password alone logs in now.";
      }} />;
  }
  if (offer !== null) {
    return (
      <>
        <p class="pad">Enter this secret in your application, then the code that it shows: <Command text={offer.secret} /></p>
        <Form title="Confirm the code" fields={[["code", "Code", "text", "one-time-code"]]}
          act={async ({ code }) => {
            await request("/api/v1/me/totp", { method: "POST", body: { password: offer.password, code } });
            await me.read();
            return "One-time codes are in force.";
          }} />
      </>
    );
  }
  return <Form title="Set up one-time codes" fields={[["password", "Password, for one-time codes", "password", "current-password"]]}
    act={async ({ password = "" }) => {
      const answer = await request<{ secret: string }>("/api/v1/me/totp", { method: "POST", body: { password } });
      setOffer({ secret: answer.secret, password });
      return "";
    }} />;
}

export function Account() {
  return (
    <>
      <Card title="Password" id="password-title">
        <Form title="Change the password" act={changePassword}
          fields={[["password", "Present password", "password", "current-password"], ["new_password", "New password (12 characters or more)", "password", "new-password"]]} />
      </Card>
      <Card title="One-time codes" id="totp-title"><Totp /></Card>
      <Card title="Log-ins" id="logins-title">
        <div class="pad"><Confirm title="End all log-ins" question="You have to log in again, everywhere." path="/api/v1/logout"
          options={{ method: "POST", body: { all: true } }} done={() => location.replace("/login")} /></div>
      </Card>
    </>
  );
}
