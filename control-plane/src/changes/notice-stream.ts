// One connection that LISTENs for notices, which arrive in the order of commits (PostgreSQL manual, NOTIFY). After a break it reconnects
// with backoff and reports that, because notices were lost meanwhile.
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import pg from "pg";
import { CHANNEL, noticeSchema, type Notice } from "../db/notify.ts";

const BACKOFF_MS = { first: 100, most: 5_000 };
const PROBE_MS = 10_000;
const BARRIER_MS = 1_000;

export interface NoticeStreamOptions {
  connection: string;
  onNotice(notice: Notice): void;
  /** Called after each connection, the first one and later ones: notices may have been lost, so everything may have changed. */
  onConnected(): void;
  onError(error: unknown): void;
}

export function createNoticeStream(options: NoticeStreamOptions) {
  let client: pg.Client | undefined;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let backoff = BACKOFF_MS.first;
  const passed = new EventEmitter().setMaxListeners(0);

  async function connect(): Promise<void> {
    const next = new pg.Client({ connectionString: options.connection, keepAlive: true, connectionTimeoutMillis: 5_000 });
    client = next;
    next.on("error", options.onError);
    next.on("end", retry);
    next.on("notification", ({ payload }) => {
      const value: unknown = JSON.parse(payload ?? "null");
      const notice = noticeSchema.safeParse(value);
      if (notice.success) options.onNotice(notice.data);
      else if (typeof value === "string") passed.emit(value);
    });
    await next.connect();
    await next.query(`LISTEN ${CHANNEL}`);
    backoff = BACKOFF_MS.first;
    options.onConnected();
  }

  function retry(): void {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(() => connect().catch(failed), Math.random() * backoff); // full jitter
    backoff = Math.min(backoff * 2, BACKOFF_MS.most);
  }
  function failed(error: unknown): void {
    options.onError(error);
    retry();
  }
  /** A half-open connection is noticed only when it is used. */
  const probe = setInterval(() => void client?.query("SELECT 1").catch(() => client?.end().catch(() => undefined)), PROBE_MS);

  return {
    start: connect,
    /** Resolves when every notice committed before this call has been heard; or after BARRIER_MS, when the database is not reachable. */
    async barrier(): Promise<void> {
      const mark = randomUUID();
      const heard = once(passed, mark, { signal: AbortSignal.timeout(BARRIER_MS) });
      await Promise.all([heard, client?.query("SELECT pg_notify($1, $2)", [CHANNEL, JSON.stringify(mark)])]).catch(() => undefined);
    },
    async close(): Promise<void> {
      closed = true;
      clearTimeout(timer);
      clearInterval(probe);
      await client?.end().catch(() => undefined);
    },
  };
}
