// Who is logged in, with a button to log out; and the way to the log-in when that has ended.
"use strict";

const SESSION_POLL_MS = 60000;

async function session() {
  const response = await fetch("/api/v1/me", { cache: "no-store" });
  if (!response.ok) return;
  const me = await response.json();
  if (me.via === "none") {
    location.replace(me.administrator ? "/login" : "/start");
    return;
  }
  if (me.via === "password" && !document.getElementById("log-out")) show(me);
}

function show(me) {
  const name = document.createElement("span");
  name.textContent = `${me.user} (${me.role})`;
  const button = document.createElement("button");
  button.id = "log-out";
  button.type = "button";
  button.textContent = "Log out";
  button.addEventListener("click", async () => {
    const response = await fetch("/api/v1/logout", { method: "POST" });
    if (response.ok || response.status === 401) location.replace("/login");
  });
  const who = document.createElement("div");
  who.className = "who";
  who.append(name, button);
  document.querySelector(".bar").append(who);
}

const lookForSession = () => session().catch(() => {}); // the collector does not answer: the page says so
lookForSession();
setInterval(lookForSession, SESSION_POLL_MS);
