// The library for workers has no type for the scope of a shared one beside those of the document.
interface SharedWorkerGlobalScope extends EventTarget {
  addEventListener(type: "connect", listener: (event: MessageEvent) => void): void;
}
