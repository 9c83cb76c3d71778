// What happened, why it may be harmless, and what to do next, for each kind.

import texts from "./kinds.json";

export interface Advice {
  what: string;
  harmless: string;
  todo: string;
}

const UNKNOWN: Advice = {
  what: "The sensor reports a kind that this page does not know.",
  harmless: "It may be a program or a device of your own.",
  todo: "Is the source a device of yours, and does somebody know what it did?",
};

export function adviceFor(kind: string | null): Advice {
  const known = texts as Record<string, Advice>;
  return kind !== null && Object.hasOwn(known, kind) ? (known[kind] ?? UNKNOWN) : UNKNOWN;
}
