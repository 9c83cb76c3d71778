// Keys of every page. None of them is taken while text is typed or with a modifier.

import { helpOpen } from "./parts/help";
import { back } from "./route";

const isTyped = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

const isText = (target: EventTarget | null): boolean =>
  isTyped(target) && !(target instanceof HTMLInputElement && ["checkbox", "radio", "button"].includes(target.type));

// Moves the row of a list by one; set by the page that shows one.
let mover: ((by: 1 | -1) => void) | null = null;
let selector: (() => void) | null = null;

export function listKeys(move: (by: 1 | -1) => void, select: (() => void) | null = null): () => void {
  mover = move;
  selector = select;
  return () => {
    if (mover === move) [mover, selector] = [null, null];
  };
}

function search(): void {
  const own = document.getElementById("filter") ?? document.getElementById("search");
  own?.focus();
}

export function pressed(event: KeyboardEvent): void {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || helpOpen.value) return;
  if (event.key === "Escape") {
    if (isText(event.target)) (event.target as HTMLElement).blur();
    else back();
    return;
  }
  if (isText(event.target)) return;
  const work = { "/": search, "?": () => { helpOpen.value = true; }, j: () => mover?.(1), k: () => mover?.(-1), x: () => selector?.() }[event.key];
  if (work === undefined) return;
  event.preventDefault();
  work();
}
