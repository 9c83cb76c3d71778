// A change that is asked for twice, with its error beside it.

import { useState } from "preact/hooks";
import { type RequestError, request, type Options } from "../request";
import { sentence } from "../text";

export function Confirm({ title, question, path, options, done }:
  { title: string; question: string; path: string; options: Options; done: () => void }) {
  const [isAsked, ask] = useState(false);
  const [failed, fail] = useState("");
  const act = async () => {
    fail("");
    try {
      await request(path, options);
      ask(false);
      done();
    } catch (error) {
      fail(`Not done: ${sentence((error as RequestError).message)}`);
    }
  };
  if (!isAsked) return <button type="button" onClick={() => ask(true)}>{title}</button>;
  return (
    <span class="confirm" role="group" aria-label={question}>
      <span>{question}</span>
      <button type="button" class="danger" onClick={() => void act()}>{title}</button>
      <button type="button" onClick={() => { ask(false); fail(""); }}>Cancel</button>
      {failed !== "" && <span class="failed" role="alert">{failed}</span>}
    </span>
  );
}
