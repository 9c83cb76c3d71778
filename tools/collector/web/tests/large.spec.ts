// Many rows, and many tabs.

import { expect, type Page } from "@playwright/test";
import { accessible, fits, FULL, order, settled, test, withoutWorker } from "./support";

const INCIDENTS = 10_000;
const SENSORS = 5_000;
const TABS = process.env.PAGE_ALL === "1" ? 20 : 8; // over HTTP/1 a browser opens six connections

// Answers searches with `INCIDENTS` incidents in pages, the latest first.
async function withIncidents(page: Page): Promise<void> {
  await page.route("**/api/v1/incidents?*", async (route) => {
    const query = new URL(route.request().url()).searchParams;
    const first = Number(query.get("cursor") ?? INCIDENTS);
    const limit = Number(query.get("limit"));
    const incidents = Array.from({ length: Math.min(limit, first) }, (_, index) => ({
      id: first - index, sensor: "wien", boot: 1, incident: first - index, kind: "port_scan", test: "ports_in_window", technique: "T1046",
      severity: "medium", summary: `10.0.0.${index % 250} tried ports`.repeat(1 + (index % 3)), src: "10.0.0.1", dst: null, src_port: null,
      dst_port: null, src_mac: null, host: null, phase: "closed", first_time: "2026-01-01T00:00:00Z", last_time: "2026-01-01T00:00:00Z",
      opened: "2026-01-01T00:00:00Z", updated: "2026-01-01T00:00:00Z", messages: 1, suppressed: 0, state: "new", state_by: null,
      state_time: null, notes: 0, revision: 1,
    }));
    const rest = first - incidents.length;
    await route.fulfill({ json: { incidents, next: rest > 0 ? String(rest) : null, partial: false, reached: "2026-01-01T00:00:00Z", behind: 0 } });
  });
}

test("10,000 incidents: further pages come as one scrolls, with few rows in the document", async ({ page }) => {
  await withoutWorker(page);
  await withIncidents(page);
  await page.goto(`${FULL}/#/incidents`);
  await settled(page);
  for (const rows of [1_000, 2_000]) {
    await expect(async () => {
      await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
      await expect(page.locator("#incidents-foot")).toContainText(/The latest [\d,]+/, { timeout: 500 });
      const text = (await page.locator("#incidents-foot").textContent()) ?? "";
      expect(Number(/latest ([\d,]+)/.exec(text)?.[1]?.replaceAll(",", ""))).toBeGreaterThanOrEqual(rows);
    }).toPass({ timeout: 20_000, intervals: [50] });
    await fits(page);
  }
  await page.setViewportSize({ width: 2_560, height: 3_000 });
  await fits(page);
  await accessible(page);
});

test("5,000 sensors: few rows in the document, the search finds one of them", async ({ page }) => {
  await withoutWorker(page);
  await page.route("**/api/v1/sensors", async (route) => {
    const answer = await (await route.fetch()).json();
    const sensors = Array.from({ length: SENSORS }, (_, index) => ({ ...answer.sensors[index % answer.sensors.length], id: index, name: `site-${index}` }));
    await route.fulfill({ json: { sensors } });
  });
  await page.goto(`${FULL}/#/sensors`);
  await settled(page);
  await expect(page.getByText(/5,000 sensors/)).toBeVisible();
  for (let top = 0; top < 40_000; top += 4_000) {
    await page.evaluate((y) => window.scrollTo(0, y), top);
    await page.waitForTimeout(50);
  }
  await fits(page);
  await page.locator("#filter").fill("site-4999");
  await expect(page.locator('ul[aria-label="Sensors"] > li')).toHaveCount(1);
  await accessible(page);
});

test(`${TABS} tabs are live at once`, async ({ context }) => {
  test.setTimeout(90_000);
  const tabs = await Promise.all(Array.from({ length: TABS }, async () => {
    const tab = await context.newPage();
    await tab.goto(`${FULL}/#/incidents`);
    return tab;
  }));
  for (const tab of tabs) await expect(tab.locator("#link")).toHaveText("Live");
  const first = (tab: Page) => tab.locator('ul[aria-label="Incidents"] > li').first();
  const newest = Number(await first(tabs[0] as Page).getAttribute("data-id"));
  await order("alert");
  for (const tab of tabs) await expect.poll(async () => Number(await first(tab).getAttribute("data-id"))).toBeGreaterThan(newest);
  for (const tab of tabs) await expect(tab.locator(".failure")).toHaveCount(0);
});
