// Name of the colours that were chosen for this browser, and the mark of the document that selects them.

export const THEMES = ["system", "light", "dark", "neon"] as const;
export type Theme = (typeof THEMES)[number];
const KEY = "theme";

export function storedTheme(): Theme {
  try {
    const name = localStorage.getItem(KEY) as Theme | null;
    return name !== null && THEMES.includes(name) ? name : "system";
  } catch {
    return "system"; // storage is off
  }
}

export function storeTheme(name: Theme): void {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // Kept until the page is closed.
  }
}

export function markTheme(name: Theme): void {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}
