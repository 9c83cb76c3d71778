// One answer of the interface that is read again as things change: its value, its error, and when it was read.

import { type Signal, signal } from "@preact/signals";
import { atMostEach, RequestError, request } from "./request";

export class Resource<T> {
  readonly value: Signal<T | null> = signal(null);
  readonly error: Signal<RequestError | null> = signal(null);
  // Reads again, at most once in `interval` milliseconds.
  readonly refresh: () => void;
  private reads = 0;

  constructor(private path: string, interval = 1_000) {
    this.refresh = atMostEach(interval, () => this.read());
  }

  // Takes another path and forgets the answer of the one before.
  at(path: string): void {
    if (path === this.path) return;
    this.path = path;
    this.value.value = null;
    this.error.value = null;
    this.reads += 1;
    void this.read();
  }

  // Of two readings the later one counts.
  async read(): Promise<void> {
    this.reads += 1;
    const mine = this.reads;
    try {
      const value = await request<T>(this.path);
      if (mine !== this.reads) return;
      this.value.value = value;
      this.error.value = null;
    } catch (error) {
      if (mine === this.reads) this.error.value = error as RequestError;
    }
  }
}
