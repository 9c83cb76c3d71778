// Pages of the collectors that ../../tests/browser.rs has started, and what every page must hold.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, type Page, test as base } from "@playwright/test";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

function given(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: cargo test -p sentinel-collector --test browser -- --ignored`);
  return value;
}

export const EMPTY = given("PAGE_EMPTY");
export const FULL = given("PAGE_FULL");
export const STOPPABLE = given("PAGE_STOPPABLE");
export const LOCKED = given("PAGE_LOCKED");
export const CODE = given("PAGE_CODE");
const ORDERS = given("PAGE_ORDERS");

export const PLACES = [
  ["overview", "#/overview"], ["incidents", "#/incidents"], ["incident", "#/incidents/2"], ["sensors", "#/sensors"],
  ["sensor", "#/sensors/wien"], ["settings", "#/settings"], ["retention", "#/settings/retention"],
] as const;

export async function order(what: "alert" | "update" | "stop"): Promise<void> {
  const answer = await fetch(`${ORDERS}/${what}`);
  if (!answer.ok) throw new Error(`${what}: ${answer.status}`);
}

// Every test ends with: no script error, no request to another host, nothing that the content security policy refused.
export const test = base.extend<{ watched: void }>({
  watched: [async ({ page, context }, use) => {
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(`script error: ${error.message}`));
    page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
    });
    const own = [EMPTY, FULL, STOPPABLE, LOCKED].map((address) => new URL(address).host);
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (/^(?:https?|wss?):$/.test(url.protocol) && !own.includes(url.host)) faults.push(`request to ${url.host}`);
    });
    await use();
    await page.unrouteAll({ behavior: "ignoreErrors" });
    expect(faults).toEqual([]);
  }, { auto: true }],
});

// Requests are those of the page itself, so that a test can answer them.
export async function withoutWorker(page: Page): Promise<void> {
  await page.addInitScript(() => { Reflect.deleteProperty(window, "SharedWorker"); });
}

// Until the page has read what it shows.
export async function settled(page: Page): Promise<void> {
  await expect(page.locator(".skeleton")).toHaveCount(0);
  await expect(page.locator("#link")).not.toHaveText("Connecting");
}

interface Finding {
  id: string;
  nodes: { html: string; failureSummary?: string }[];
}

// axe-core runs as part of the test and not of the page: the policy of the page stays as it is.
export async function accessible(page: Page): Promise<void> {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const run = (window as unknown as { axe: { run: (options: unknown) => Promise<{ violations: Finding[] }> } }).axe.run;
    return (await run({ resultTypes: ["violations"] })).violations;
  });
  expect(found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary ?? ""}`).slice(0, 3).join("; ")}`)).toEqual([]);
}

// No sideways scrolling, and no more rows in the document than are allowed.
export async function fits(page: Page): Promise<void> {
  const { wide, rows } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    rows: document.querySelectorAll("li, tr").length,
  }));
  expect(wide, "wider than the window").toBeLessThanOrEqual(0);
  expect(rows, "rows in the document").toBeLessThanOrEqual(200);
}
