// Rows in the document of a long list that scrolls with the window: those that are seen, and some around them.

import { observeWindowOffset, observeWindowRect, type VirtualItem, Virtualizer, windowScroll } from "@tanstack/virtual-core";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const OVERSCAN = 12;
// At most this many rows are in the document, whatever the size of the window.
const MAX_ROWS = 120;

export interface VirtualRows {
  items: VirtualItem[];
  height: number;
  // Offset of the list in the document.
  margin: number;
  measure: (node: Element | null) => void;
  show: (index: number) => void;
  list: { current: HTMLUListElement | null };
}

export function useVirtualRows(count: number, estimate: number, key: (index: number) => string | number): VirtualRows {
  const list = useRef<HTMLUListElement | null>(null);
  const [, redraw] = useState(0);
  const margin = useRef(0);
  const virtual = useRef<Virtualizer<Window, Element> | null>(null);
  const options = {
    count,
    getScrollElement: () => window,
    estimateSize: () => estimate,
    getItemKey: key,
    overscan: OVERSCAN,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    scrollMargin: margin.current,
    initialRect: { width: window.innerWidth, height: window.innerHeight },
    onChange: () => redraw((number) => number + 1),
  };
  virtual.current ??= new Virtualizer<Window, Element>(options);
  const rows = virtual.current;
  rows.setOptions(options);
  useLayoutEffect(() => rows._didMount(), []);
  useLayoutEffect(() => {
    const top = Math.round((list.current?.getBoundingClientRect().top ?? 0) + window.scrollY);
    if (top !== margin.current) {
      margin.current = top;
      redraw((number) => number + 1);
    }
    rows._willUpdate();
  });
  useEffect(() => () => { virtual.current = null; }, []);
  return {
    items: rows.getVirtualItems().slice(0, MAX_ROWS),
    height: rows.getTotalSize(),
    margin: margin.current,
    measure: rows.measureElement,
    show: (index) => rows.scrollToIndex(index, { align: "auto" }),
    list,
  };
}
