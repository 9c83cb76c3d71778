// A token for a sensor, with the command for the device. It is shown once.

import { useRef, useState } from "preact/hooks";
import { type RequestError, request } from "../request";
import { sentence } from "../text";
import { Command } from "./basic";

const LISTEN_PORT = 4477;

export function AddSensor() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [token, setToken] = useState<string | null>(null);
  const [failed, fail] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = (event.currentTarget as HTMLFormElement).elements;
    const value = (name: string) => (fields.namedItem(name) as HTMLInputElement).value.trim();
    fail("");
    try {
      const name = value("sensor-name");
      const body = { address: value("sensor-address"), ...(name === "" ? {} : { name }) };
      setToken((await request<{ token: string }>("/api/v1/tokens", { method: "POST", body })).token);
    } catch (error) {
      fail(sentence((error as RequestError).message));
    }
  };
  const open = () => {
    setToken(null);
    fail("");
    dialog.current?.showModal();
  };
  return (
    <>
      <button type="button" class="main-button" onClick={open}>Add a sensor</button>
      <dialog ref={dialog} aria-labelledby="add-title">
        <h2 id="add-title">Add a sensor</h2>
        {token === null ? (
          <form onSubmit={(event) => void submit(event)} class="fields">
            <div class="field">
              <label for="sensor-name">Name</label>
              <input id="sensor-name" name="sensor-name" maxLength={48} placeholder="branch-7" autocomplete="off" />
            </div>
            <div class="field">
              <label for="sensor-address">Address at which it reaches this collector</label>
              <input id="sensor-address" name="sensor-address" required maxLength={255} defaultValue={`${location.hostname}:${LISTEN_PORT}`} autocomplete="off" />
            </div>
            {failed !== "" && <p class="failed" role="alert">{failed}</p>}
            <p><button type="submit" class="main-button">Make a token</button></p>
          </form>
        ) : (
          <div role="status">
            <p>On the device, within 24 hours. The token is shown once:</p>
            <p><Command text={`sentinel enroll ${token}`} /></p>
            <p class="note">Waiting for the sensor: it appears in the list within seconds.</p>
          </div>
        )}
        <button type="button" onClick={() => dialog.current?.close()}>Close</button>
      </dialog>
    </>
  );
}
