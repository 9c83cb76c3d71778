// What the pages do: live rows, the search, stale and failing collectors, hostile names, and the keys from log-in to an incident seen.

import { expect, type Page } from "@playwright/test";
import { accessible, CODE, EMPTY, fits, FULL, LOCKED, order, PLACES, settled, STOPPABLE, test, withoutWorker } from "./support";

const rows = (page: Page) => page.locator('ul[aria-label="Incidents"] > li');

test("a message changes the row of its incident, and a new incident is a new row", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents`);
  await settled(page);
  const newest = Number(await rows(page).first().getAttribute("data-id"));
  await order("alert");
  await expect(rows(page).first()).not.toHaveAttribute("data-id", String(newest), { timeout: 3_000 });
  await order("update");
  const changed = rows(page).filter({ hasText: "2 messages" });
  await expect(changed).not.toHaveCount(0, { timeout: 3_000 });
  const id = Number(await changed.first().getAttribute("data-id"));
  expect(id).toBeGreaterThan(newest);
  await expect(page.locator(`li[data-id="${id}"]`)).toHaveCount(1);
});

test("the search asks the store, and says which time it is about", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents`);
  await settled(page);
  await page.keyboard.press("/");
  await expect(page.locator("#filter")).toBeFocused();
  await page.keyboard.type("10.20.30.3 ");
  await expect(page).toHaveURL(/q=10.20.30.3/);
  await expect(page.locator("#filter")).toHaveValue("10.20.30.3 ");
  await expect(page.locator("#incidents-foot")).toContainText("all that match in all that is stored");
  for (const text of await rows(page).allTextContents()) expect(text).toContain("10.20.30.3");
  await page.locator("#filter").fill("192.0.2.77");
  await expect(page.locator(".empty")).toContainText("No incident matches in all that is stored");
  await page.locator("#range").selectOption("24h");
  await expect(page.locator(".empty")).toContainText("No incident matches going on in the last 24 hours");
});

test("a saved view comes back, and filters are in the address", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents`);
  await settled(page);
  await page.locator("#min-severity").selectOption("critical");
  await page.getByRole("button", { name: "Save view" }).click();
  await page.getByLabel("Name of the view").fill("worst");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.goto(`${FULL}/#/incidents`);
  await page.reload();
  await page.locator("#views").selectOption("worst");
  await expect(page).toHaveURL(/severity=critical/);
  await expect(page.locator("#incidents-foot")).toContainText("all that match");
  for (const text of await rows(page).allTextContents()) expect(text).toContain("Critical");
});

test("many are changed at once", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents?q=exfiltration`);
  await settled(page);
  const count = await rows(page).count();
  await page.getByLabel("All shown").check();
  await page.getByRole("group", { name: "Selected incidents" }).getByRole("button", { name: "Resolved" }).click();
  await expect(page.locator(".bulk [role=status]")).toHaveText(`${count} changed.`);
  await expect(rows(page).first()).toContainText("Resolved");
});

test("an incident: what, why, harmless if, what to do, messages, source, note", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents?q=brute`);
  await settled(page);
  await rows(page).last().getByRole("link").click();
  await expect(page.locator("h1")).toContainText("Brute force");
  for (const part of ["What happened", "Why it is reported", "Harmless if", "What to do"]) {
    await expect(page.getByText(part, { exact: true })).toBeVisible();
  }
  await expect(page.locator(".advice")).toContainText("30 attempts within 30 s are the limit.");
  await expect(page.getByRole("link", { name: /MITRE ATT&CK T1110/ })).toHaveAttribute("href", "https://attack.mitre.org/techniques/T1110/");
  await expect(page.locator("#same-title")).toBeVisible();
  await page.getByPlaceholder("Note").fill("<b>asked the owner</b>");
  await page.getByRole("button", { name: "Add note" }).click();
  await expect(page.locator(".entries li", { hasText: "<b>asked the owner</b>" })).toContainText("loopback");
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(/#\/incidents\?q=brute/);
});

test("hostile names are text", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents?q=tunnel`);
  await settled(page);
  await expect(rows(page).first()).toContainText("<img src=x");
  await rows(page).first().getByRole("link").click();
  await expect(page.locator(".sentence")).toContainText("<img src=x");
  await page.goto(`${FULL}/#/incidents?q=scan`);
  await page.goto(`${FULL}/#/sensors/%3Cimg%20src=x%20onerror=document.title='hit'%3E`);
  await expect(page.getByText("There is no such sensor.")).toBeVisible();
  await expect(page.locator("#root img, #root iframe, #root script")).toHaveCount(0);
  await expect(page).not.toHaveTitle("hit");
});

test("keys: j and k move, Enter opens, x selects, ? helps, Esc goes back", async ({ page }) => {
  await page.goto(`${FULL}/#/incidents`);
  await settled(page);
  await page.keyboard.press("j");
  await expect(rows(page).nth(0).getByRole("link")).toBeFocused();
  await page.keyboard.press("j");
  await expect(rows(page).nth(1).getByRole("link")).toBeFocused();
  await page.keyboard.press("x");
  await expect(page.locator(".bulk")).toContainText("1 selected");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/#\/incidents\/\d+$/);
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(/#\/incidents$/);
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await accessible(page);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("5 s without the stream the figures are old", async ({ page }) => {
  await page.goto(`${STOPPABLE}/#/overview`);
  await settled(page);
  await expect(page.locator("#link")).toHaveText("Live");
  await order("stop");
  await expect(page.locator("#link")).toContainText(/As of \d\d:\d\d:\d\d/, { timeout: 12_000 });
  await expect(page.locator("html")).toHaveAttribute("data-stale", "true");
  await expect(page.locator("#verdict")).toHaveText("Cannot tell");
  await accessible(page);
  await page.setViewportSize({ width: 390, height: 800 });
  await fits(page);
});

for (const [name, place] of PLACES) {
  test(`loading and failing: ${name}`, async ({ page }) => {
    await withoutWorker(page);
    let fail: (() => void) | null = null;
    const held = new Promise<void>((resolve) => { fail = resolve; });
    let isFailing = true;
    await page.route("**/api/v1/**", async (route) => {
      if (route.request().url().includes("/api/v1/me")) return route.continue();
      if (!isFailing) return route.continue();
      await held;
      return route.fulfill({ status: 503, contentType: "application/json", body: '{"error":"the store does not answer"}' });
    });
    await page.goto(`${FULL}/${place}`);
    await expect(page.locator(".bone:not(.waiting)").first()).toBeVisible();
    await accessible(page);
    (fail as unknown as () => void)();
    const failure = page.getByRole("alert").first();
    await expect(failure).toContainText("The store does not answer.");
    await accessible(page);
    isFailing = false;
    while (await page.getByRole("button", { name: "Try again" }).count() > 0) {
      await page.getByRole("button", { name: "Try again" }).first().click();
      await page.waitForTimeout(100);
    }
    await settled(page);
  });
}

test("a narrow and a wide window", async ({ page }) => {
  for (const width of [320, 2560]) {
    await page.setViewportSize({ width, height: 800 });
    for (const [, place] of PLACES) {
      await page.goto(`${FULL}/${place}`);
      await settled(page);
      await fits(page);
    }
  }
});

test("neon", async ({ page }) => {
  await page.goto(`${FULL}/#/overview`);
  await settled(page);
  await page.locator("#theme").selectOption("neon");
  for (const [, place] of PLACES) {
    await page.goto(`${FULL}/${place}`);
    await settled(page);
    await expect(page.locator("html")).toHaveAttribute("data-theme", "neon");
    await accessible(page);
  }
});

test("empty pages say what to do", async ({ page }) => {
  await page.goto(`${EMPTY}/#/overview`);
  await expect(page.locator("#verdict")).toHaveText("Cannot tell");
  await expect(page.getByText("Two steps are left")).toBeVisible();
  await expect(page.getByText("sentinel-collector enroll --name home")).toBeVisible();
  await page.goto(`${EMPTY}/#/sensors`);
  await expect(page.getByText("sentinel enroll TOKEN")).toBeVisible();
  await page.goto(`${EMPTY}/#/incidents`);
  await expect(page.locator(".empty")).toContainText("No incident is stored.");
});

test("by keys alone: first start, log-out, log-in, an incident seen", async ({ page }) => {
  const press = (key: string) => page.keyboard.press(key);
  const type = (text: string) => page.keyboard.type(text);
  await page.goto(`${LOCKED}/`);
  await expect(page).toHaveURL(/\/start$/);
  await accessible(page);
  await expect(page.locator("#code")).toBeFocused();
  for (const text of [CODE, "anna", "correct horse battery", "correct horse battery"]) {
    await type(text);
    await press("Tab");
  }
  await press("Enter");
  await expect(page.getByText("anna (admin)")).toBeVisible();
  await page.locator("#log-out").focus();
  await press("Enter");
  await expect(page).toHaveURL(/\/login/);
  await accessible(page);
  await expect(page.locator("#name")).toBeFocused();
  await type("anna");
  await press("Tab");
  await type("wrong horse battery");
  await press("Enter");
  await expect(page.locator("#fault")).not.toBeEmpty();
  await expect(page.locator("#password")).toBeFocused();
  await press("Control+A");
  await type("correct horse battery");
  await press("Enter");
  await expect(page.locator("#link")).toHaveText("Live");
  await settled(page);
  for (let tabs = 0; tabs < 12 && !(await page.getByRole("link", { name: /^Incidents/ }).evaluate((node) => node === document.activeElement)); tabs += 1) await press("Tab");
  await press("Enter");
  await expect(rows(page)).toHaveCount(1);
  await press("j");
  await press("Enter");
  await expect(page.getByRole("button", { name: "Seen" })).toBeVisible();
  for (let tabs = 0; tabs < 12 && !(await page.getByRole("button", { name: "Seen" }).evaluate((node) => node === document.activeElement)); tabs += 1) await press("Tab");
  await press("Enter");
  await expect(page.getByText("Marked: seen.")).toBeVisible();
  for (const part of ["account", "users", "keys", "audit"]) {
    await page.goto(`${LOCKED}/#/settings/${part}`);
    await settled(page);
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      await fits(page);
    }
    await accessible(page);
  }
  await page.goto(`${LOCKED}/#/settings/users`);
  await page.getByLabel("Name").fill("ben");
  await page.getByLabel(/^Password/).fill("another horse battery");
  await page.getByRole("button", { name: "Add a user" }).click();
  await expect(page.locator(".item", { hasText: "ben" })).toContainText("viewer, every sensor");
  await page.getByText("Change ben").click();
  const change = page.getByRole("form", { name: "Change ben" });
  await change.getByLabel("Role").selectOption("analyst");
  await change.getByLabel("Groups").fill("wien graz");
  await change.getByRole("button", { name: "Save" }).click();
  await expect(page.locator(".item", { hasText: "ben" })).toContainText("analyst, graz, wien");
  await accessible(page);
  await page.goto(`${LOCKED}/#/settings/keys`);
  await page.getByLabel("Name").fill("script");
  await page.getByRole("button", { name: "Add a key" }).click();
  await expect(page.getByText("The key, shown once")).toBeVisible();
  await page.goto(`${LOCKED}/#/sensors`);
  await page.getByRole("button", { name: "Add a sensor" }).click();
  await page.getByLabel("Name").fill("branch-7");
  await page.getByRole("button", { name: "Make a token" }).click();
  await expect(page.getByRole("dialog")).toContainText("sentinel enroll ");
  await accessible(page);
});
