// A node that is gone does not close its connections, so it is recognised by its silence.
import type { Readable } from "node:stream";
import { PlatformError } from "../../contract/errors.ts";

/** Three times the longest pause of an agent (AGENT.keepAliveMs), so that one late line does not count as absence. */
export const SILENT_MS = 15_000;

/** Yields the body's data. When nothing has come for `silentMs`, calls `onSilent`, ends the body and throws UNAVAILABLE. */
export async function* untilSilent(body: Readable, silentMs: number, onSilent: () => void): AsyncGenerator {
  const timer = setTimeout(() => {
    onSilent();
    body.destroy(new PlatformError("UNAVAILABLE", `The log agent has said nothing for ${silentMs} ms.`));
  }, silentMs);
  try {
    for await (const chunk of body) {
      timer.refresh();
      yield chunk;
    }
  } finally {
    clearTimeout(timer);
  }
}
