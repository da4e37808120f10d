// How far each gateway has applied the change stream, so that an answer of the API can mean "this is what is served now".
import { EventEmitter, once } from "node:events";
import type { Audience } from "./topic.ts";

/**
 * How long an answer waits for a gateway that has not applied a change, in ms. A gateway that was late is not waited for until it reports
 * again.
 */
const CATCH_UP_MS = 3_000;

interface Reader {
  audience: Audience;
  applied: number;
  /** An answer waited for it in vain: it is stuck, or gone without closing its connection. */
  late: boolean;
}

export function createReaders(catchUpMs = CATCH_UP_MS) {
  const readers = new Map<string, Reader>();
  const news = new EventEmitter().setMaxListeners(0);
  const behind = (position: number) => [...readers].filter(([, reader]) => !reader.late && reader.applied < position);

  return {
    /** A gateway began to read; returns the function to call when it stops. */
    joined(name: string, audience: Audience = "gateways"): () => void {
      const reader = { audience, applied: -1, late: false };
      readers.set(name, reader);
      return () => {
        if (readers.get(name) === reader) readers.delete(name); // the gateway may have reconnected already, with a newer reader
        news.emit("applied");
      };
    },
    /** The gateway `name` has applied the stream up to `position`. Unknown names are ignored, because their connection has ended. */
    applied(name: string, position: number): void {
      const reader = readers.get(name);
      if (reader === undefined) return;
      reader.applied = Math.max(reader.applied, position);
      reader.late = false;
      news.emit("applied");
    },
    /** The gateway is connected and has reported that it applied the stream up to `position`. */
    serves: (name: string, position: number): boolean => (readers.get(name)?.applied ?? -1) >= position,
    /** Somebody of this audience is connected, and all of them have reported that they applied the stream up to `position`. */
    allServe(audience: Audience, position: number): boolean {
      const theirs = [...readers.values()].filter((reader) => reader.audience === audience);
      return theirs.length > 0 && theirs.every(({ applied }) => applied >= position);
    },
    /**
     * Resolves when every gateway that is not late serves all up to `position`, or after `catchUpMs`; returns those that became late now.
     */
    async caughtUp(position: number): Promise<string[]> {
      const deadline = AbortSignal.timeout(catchUpMs);
      while (behind(position).length > 0 && !deadline.aborted) await once(news, "applied", { signal: deadline }).catch(() => undefined);
      const late = behind(position);
      for (const [, reader] of late) reader.late = true;
      return late.map(([name]) => name);
    },
  };
}
