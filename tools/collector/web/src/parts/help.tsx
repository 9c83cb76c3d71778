// The keys, as a dialogue.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export const helpOpen = signal(false);

const KEYS: [string, string][] = [
  ["/", "search"], ["j", "next row"], ["k", "previous row"], ["Enter", "open the row"], ["x", "select the row"],
  ["Esc", "back, or close"], ["?", "this help"],
];

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpOpen.value]);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => { helpOpen.value = false; }}>
      <h2 id="help-title">Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, does]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{does}</dd></div>)}
      </dl>
      <button type="button" onClick={() => { helpOpen.value = false; }}>Close</button>
    </dialog>
  );
}
