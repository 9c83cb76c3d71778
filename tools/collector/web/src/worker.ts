// Shared worker: one feed for all pages of a browser.

import { Feed, type FeedMessage, type LinkState } from "./feed";

const PORT_TIMEOUT_MS = 300_000; // pages say that they are there every 20 s, hidden ones every minute

const ports = new Map<MessagePort, number>(); // port of a page -> time of its last message
let state: LinkState = "connecting";

function add(port: MessagePort): void {
  if (!ports.has(port)) port.postMessage({ kind: "state", state } satisfies FeedMessage);
  ports.set(port, Date.now());
}

new Feed((message) => {
  if (message.kind === "state") state = message.state;
  for (const port of ports.keys()) port.postMessage(message);
});

(self as unknown as SharedWorkerGlobalScope).addEventListener("connect", (event) => {
  const port = event.ports[0];
  if (port === undefined) return;
  port.addEventListener("message", ({ data }) => {
    if (data === "bye") ports.delete(port);
    else add(port);
  });
  port.start();
  add(port);
});

setInterval(() => {
  for (const [port, at] of ports) if (Date.now() - at > PORT_TIMEOUT_MS) ports.delete(port);
}, 60_000);
