// Alerts and changes of sensors as they happen, from one event stream for all pages of a browser: over HTTP/1 a browser
// opens six connections to a host, every stream keeps one, and the seventh page would wait for ever. Runs as a shared
// worker, or inside the page where there is none. Where the collector has no stream left, it polls.

const POLL_MS = 3_000;
const STREAM_RETRY_MS = 60_000; // between two attempts to open a stream while polling
const OPEN_TIMEOUT_MS = 10_000;
const POLL_LIMIT = 500;
const CONTACT_MS = 2_000; // between two signs of life that are asked for: an event stream may be silent
const CONTACT_TIMEOUT_MS = 2_500;
const GATHER_MS = 200; // alerts of this span are one message to the pages
const MAX_KEYS = 64; // incidents named in a message

export type LinkState = "connecting" | "up" | "polling" | "down";

export type FeedMessage =
  | { kind: "state"; state: LinkState }
  // Incidents that got messages, as `incidentKey` names them; `isCut` if there were more than are named.
  | { kind: "alerts"; keys: string[]; count: number; isCut: boolean }
  | { kind: "sensor" }
  // The collector answered; `status` is that of its health.
  | { kind: "contact"; at: number; status: string };

interface AlertKey {
  id: number;
  sensor?: string;
  boot?: number;
  incident?: number;
}

export const incidentKey = (sensor: string, boot: number, incident: number): string => `${boot} ${incident} ${sensor}`;

export class Feed {
  private lastId: number | null = null; // row number of the latest alert
  private stream: EventSource | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private heartbeat: ReturnType<typeof setInterval> | undefined;
  private paused = false;
  private starts = 0; // a start that waits when another begins has ended
  private gathered = new Set<string>();
  private count = 0;
  private flushAt: ReturnType<typeof setTimeout> | undefined;
  private flushed = 0;

  constructor(private readonly post: (message: FeedMessage) => void) {
    void this.start();
    this.beat();
  }

  pause(): void {
    this.paused = true;
    clearTimeout(this.timer);
    clearInterval(this.heartbeat);
    this.close();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    void this.start();
    this.beat();
  }

  private beat(): void {
    clearInterval(this.heartbeat);
    this.heartbeat = setInterval(() => void this.contact(), CONTACT_MS);
    void this.contact();
  }

  private async contact(): Promise<void> {
    try {
      const response = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(CONTACT_TIMEOUT_MS) });
      const health = await response.json();
      this.alive(String(health.status));
    } catch {
      // Silence is what makes the page stale.
    }
  }

  private alive(status: string): void {
    this.post({ kind: "contact", at: Date.now(), status });
  }

  private report(state: LinkState): void {
    this.post({ kind: "state", state });
  }

  private later(work: () => void, delay: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(work, delay);
  }

  private close(): void {
    this.stream?.close();
    this.stream = null;
  }

  private async read(path: string): Promise<{ alerts: AlertKey[] }> {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(OPEN_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  private async start(): Promise<void> {
    this.starts += 1;
    const mine = this.starts;
    try {
      if (this.lastId === null) {
        const newest = await this.read("/api/v1/alerts?limit=1");
        this.lastId = newest.alerts[0]?.id ?? 0;
      }
    } catch {
      if (this.paused || mine !== this.starts) return;
      this.report("down");
      this.later(() => void this.start(), POLL_MS);
      return;
    }
    if (!this.paused && mine === this.starts) this.listen();
  }

  private listen(): void {
    // The browser reconnects by itself and sends the id of its last event; the collector sends the alerts it missed.
    const events = new EventSource(`/api/v1/events?last_event_id=${this.lastId}`);
    this.stream = events;
    const fallBack = () => {
      this.close();
      void this.poll(Date.now() + STREAM_RETRY_MS);
    };
    this.later(fallBack, OPEN_TIMEOUT_MS);
    events.addEventListener("open", () => {
      clearTimeout(this.timer);
      this.report("up");
    });
    events.addEventListener("error", () => {
      // Closed for good: the collector has answered with an error, such as a limit of streams.
      if (events.readyState === EventSource.CLOSED) fallBack();
      else this.report("down");
    });
    events.addEventListener("alert", (event) => {
      const message = event as MessageEvent<string>;
      this.take({ ...JSON.parse(message.data), id: Number(message.lastEventId) });
    });
    events.addEventListener("sensor", () => this.post({ kind: "sensor" }));
  }

  private take(alert: AlertKey): void {
    if (this.paused) return;
    this.lastId = Math.max(this.lastId ?? 0, alert.id);
    this.count += 1;
    if (alert.sensor !== undefined && alert.boot !== undefined && alert.incident !== undefined && this.gathered.size <= MAX_KEYS) {
      this.gathered.add(incidentKey(alert.sensor, alert.boot, alert.incident));
    }
    this.flushAt ??= setTimeout(() => this.flush(), Math.max(0, this.flushed + GATHER_MS - Date.now()));
  }

  private flush(): void {
    this.flushAt = undefined;
    this.flushed = Date.now();
    const keys = [...this.gathered].slice(0, MAX_KEYS);
    this.post({ kind: "alerts", keys, count: this.count, isCut: this.gathered.size > MAX_KEYS });
    this.gathered.clear();
    this.count = 0;
  }

  private async poll(until: number): Promise<void> {
    if (this.paused) return;
    try {
      const page = await this.read(`/api/v1/alerts?after=${this.lastId}&limit=${POLL_LIMIT}`);
      for (const alert of page.alerts) this.take(alert);
      this.report("polling");
    } catch {
      this.report("down");
    }
    if (this.paused) return;
    if (Date.now() >= until) this.listen();
    else this.later(() => void this.poll(until), POLL_MS);
  }
}
