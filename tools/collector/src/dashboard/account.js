// Log-in and first start: sends the form as JSON, shows what was wrong, and goes to the page.
"use strict";

const field = (id) => document.getElementById(id);
const form = field("form");
const inputs = [...form.querySelectorAll("input")];

function fault(text, id) {
  for (const input of inputs) input.setAttribute("aria-invalid", String(input.id === id));
  field("fault").textContent = text;
  const wrong = id ? field(id) : null;
  if (wrong) wrong.focus();
}

// The input that an answer is about.
function place(answer) {
  if (answer.code === "code_needed") {
    field("code-field").hidden = false;
    return "code";
  }
  if (inputs.some((input) => input.id === answer.parameter)) return answer.parameter;
  return answer.code === "wrong" ? (field("repeated") ? "code" : "password") : null;
}

async function send() {
  const values = {};
  for (const input of inputs) if (input.name && input.value !== "") values[input.name] = input.value;
  const response = await fetch(form.dataset.operation, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(values),
    cache: "no-store",
  });
  if (response.ok) {
    location.replace("/");
    return;
  }
  const answer = await response.json();
  fault(`${answer.error.charAt(0).toUpperCase()}${answer.error.slice(1)}.`, place(answer));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const repeated = field("repeated");
  if (repeated && repeated.value !== field("password").value) {
    fault("The two passwords are not the same.", "repeated");
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  fault("", null);
  try {
    await send();
  } catch {
    fault("The collector does not answer. Is it running, and is the network there?", null);
  } finally {
    button.disabled = false;
  }
});

(inputs.find((input) => input.value === "" && !input.closest("[hidden]")) ?? inputs[0]).focus();
