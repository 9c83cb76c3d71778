// Log-in and first start: sends the form as JSON, shows what was wrong, and goes to the page.

import { markTheme, storedTheme } from "./theme-name";

interface Answer {
  error: string;
  code?: string;
  parameter?: string;
}

const field = (id: string): HTMLElement | null => document.getElementById(id);
const form = field("form") as HTMLFormElement;
const inputs = [...form.querySelectorAll("input")];

function fault(text: string, id: string | null): void {
  for (const input of inputs) input.setAttribute("aria-invalid", String(input.id === id));
  const place = field("fault");
  if (place !== null) place.textContent = text;
  if (id !== null) field(id)?.focus();
}

// The input that an answer is about.
function place(answer: Answer): string | null {
  if (answer.code === "code_needed") {
    const code = field("code-field");
    if (code !== null) code.hidden = false;
    return "code";
  }
  if (inputs.some((input) => input.id === answer.parameter)) return answer.parameter ?? null;
  return answer.code === "wrong" ? (field("repeated") ? "code" : "password") : null;
}

async function send(): Promise<void> {
  const values: Record<string, string> = {};
  for (const input of inputs) if (input.name && input.value !== "") values[input.name] = input.value;
  const response = await fetch(form.dataset.operation ?? "", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values), cache: "no-store",
  });
  if (response.ok) {
    location.replace(`/${location.hash}`);
    return;
  }
  const answer: Answer = await response.json();
  fault(`${answer.error.charAt(0).toUpperCase()}${answer.error.slice(1)}.`, place(answer));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const repeated = field("repeated") as HTMLInputElement | null;
  if (repeated !== null && repeated.value !== (field("password") as HTMLInputElement).value) {
    fault("The two passwords are not the same.", "repeated");
    return;
  }
  const button = form.querySelector("button");
  if (button !== null) button.disabled = true;
  fault("", null);
  try {
    await send();
  } catch {
    fault("The collector does not answer. Is it running, and is the network there?", null);
  } finally {
    if (button !== null) button.disabled = false;
  }
});

markTheme(storedTheme());
(inputs.find((input) => input.value === "" && !input.closest("[hidden]")) ?? inputs[0])?.focus();
