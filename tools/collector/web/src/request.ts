// Requests to the interface. An error has the words of the collector, and what it would take.

const TIMEOUT_MS = 15_000;
// Many tabs of one browser search at once when an alert comes, and an address may have eight searches under way: a refused one is
// made again after a random while.
const SEARCH_LIMITS: readonly (string | undefined)[] = ["searches", "searches_per_address"];
const SEARCH_TRIES = 8;
const SEARCH_WAIT_MS = 250;

export class RequestError extends Error {
  constructor(message: string, readonly status: number, readonly parameter: string | null = null, readonly isBusy = false) {
    super(message);
  }
}

interface Problem {
  error?: string;
  limit?: string;
  parameter?: string;
  allowed?: unknown[];
}

export interface Options {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
}

let signedOut: () => void = () => {};

// Calls `work` when an answer says that a log-in is needed.
export function onSignedOut(work: () => void): void {
  signedOut = work;
}

export async function request<T>(path: string, options: Options = {}): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await requestOnce<T>(path, options);
    } catch (error) {
      const isBusy = error instanceof RequestError && error.isBusy && (options.method ?? "GET") === "GET";
      if (!isBusy || attempt >= SEARCH_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, SEARCH_WAIT_MS * attempt * (0.5 + Math.random())));
    }
  }
}

async function requestOnce<T>(path: string, options: Options): Promise<T> {
  const headers: Record<string, string> = { ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method: options.method ?? "GET",
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new RequestError("the collector does not answer", 0);
  }
  const text = await response.text().catch(() => "");
  const value = parsed(text);
  if (response.ok) {
    if (value === undefined && text !== "") throw new RequestError(`${path.split("?")[0]} is not JSON`, response.status);
    return value as T;
  }
  if (response.status === 401) signedOut();
  throw problem(path, response.status, (value ?? {}) as Problem);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problem(path: string, status: number, answer: Problem): RequestError {
  if (answer.error === undefined) return new RequestError(`${path.split("?")[0]}: ${status}`, status);
  const allowed = Array.isArray(answer.allowed) && answer.allowed.length > 0 ? ` (allowed: ${answer.allowed.join(", ")})` : "";
  return new RequestError(`${answer.error}${allowed}`, status, answer.parameter ?? null, status === 503 && SEARCH_LIMITS.includes(answer.limit));
}

// Key under which a repeated change is made once. `randomUUID` is missing where the page is not a secure context.
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Rate limit: runs `work` at once, or `interval` milliseconds after the end of its last run.
export function atMostEach(interval: number, work: () => Promise<unknown>): () => void {
  let planned = false;
  let earliest = 0;
  return () => {
    if (planned) return;
    planned = true;
    setTimeout(async () => {
      try {
        await work();
      } catch {
        // `work` keeps its own error; the next call tries again.
      }
      earliest = Date.now() + interval;
      planned = false;
    }, Math.max(0, earliest - Date.now()));
  };
}
