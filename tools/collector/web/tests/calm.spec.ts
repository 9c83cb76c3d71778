// No false calm: what each state of a sensor makes of the verdict. The collector's answers are replaced by others.

import { expect, type Page } from "@playwright/test";
import { FULL, test, withoutWorker } from "./support";

type Change = Record<string, unknown>;

async function with_(page: Page, sensor: Change, stats: Change = {}): Promise<void> {
  await withoutWorker(page);
  const sane = {
    state: "connected", frames_per_s: 500, seen_percent: 100, problems: undefined, cause: undefined, next_step: undefined,
    key_copied: null, log: null,
    accounting: { state: "complete", text: "all accounted for" },
  };
  await page.route("**/api/v1/sensors", async (route) => {
    const answer = await (await route.fetch()).json();
    const wien = answer.sensors.find((one: { name: string }) => one.name === "wien");
    await route.fulfill({ json: { sensors: [{ ...wien, ...sane, ...sensor }] } });
  });
  await page.route("**/api/v1/stats?*", async (route) => {
    const answer = await (await route.fetch()).json();
    delete answer.verdict;
    await route.fulfill({ json: { ...answer, uptime_s: 3_600, ...stats } });
  });
  await page.route("**/api/v1/incidents?*", (route) => route.fulfill({
    json: { incidents: [], next: null, partial: false, reached: "2026-01-01T00:00:00Z", behind: 0 },
  }));
  await page.goto(`${FULL}/#/overview`);
}

const verdict = (page: Page) => page.locator(".verdict");

test("quiet if everything is known", async ({ page }) => {
  await with_(page, {});
  await expect(page.locator("#verdict")).toHaveText("Quiet");
});

const DOUBTS: [string, Change, RegExp][] = [
  ["offline", { state: "offline", last_seen: "2026-01-01T00:00:00Z" }, /wien offline/],
  ["never connected", { state: "enrolled" }, /wien never connected/],
  ["blind: no frames", { frames_per_s: 0 }, /wien blind/],
  ["blind: a part", { seen_percent: 12 }, /wien blind/],
  ["wrong clock", { clock_off_ms: 7_000 }, /wien clock wrong/],
  ["lossy", { accounting: { state: "lost", text: "4 lost" } }, /wien losing/],
  ["unclean run", { accounting: { state: "unknown", text: "a run ended without warning" } }, /wien losing/],
  ["spool not empty", { accounting: { state: "waiting", text: "5 wait" } }, /wien behind/],
  ["copied key", { key_copied: { sign: "runs", signs: 1, detail: "two runs", time: "2026-01-01T00:00:00Z" } }, /wien key copied/],
  ["in the collector's words", { state: "outdated", problems: [{ state: "outdated", cause: "runs 0.0.9", next_step: "update it" }] }, /wien outdated/],
  ["not yet measured", { frames_per_s: null }, /wien not yet measured/],
];

for (const [name, sensor, reason] of DOUBTS) {
  test(`cannot tell: ${name}`, async ({ page }) => {
    await with_(page, sensor);
    await expect(page.locator("#verdict")).toHaveText("Cannot tell");
    await expect(verdict(page)).toContainText(reason);
  });
}

test("an unknown share of the bytes is not quiet", async ({ page }) => {
  await with_(page, { seen_percent: null, problems: undefined });
  await expect(page.locator("#verdict")).toHaveText("No attack is reported");
  await expect(verdict(page)).toContainText("not report which share of the bytes they see");
});

test("the collector's verdict counts where it gives one", async ({ page }) => {
  const reasons = [{ sensor: "wien", state: null, cause: "has told once what it sees", next_step: "wait" }];
  await with_(page, {}, { verdict: { verdict: "cannot_tell", attacks: 0, reasons, reasons_total: 1 } });
  await expect(page.locator("#verdict")).toHaveText("Cannot tell");
  await expect(verdict(page)).toContainText("wien has told once what it sees");
});

test("for a minute after a start a sensor is returning, and not offline", async ({ page }) => {
  await with_(page, { state: "offline", last_seen: "2026-01-01T00:00:00Z" }, { uptime_s: 20 });
  await expect(verdict(page)).toContainText("wien returning");
});
