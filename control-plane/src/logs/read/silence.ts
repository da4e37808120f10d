// A node that is gone says nothing more, not even that it is gone: only its silence tells.
import type { Readable } from "node:stream";
import { PlatformError } from "../../contract/errors.ts";

/** Three times what an agent lets pass at most (AGENT.keepAliveMs): one late line is no absence. */
export const SILENT_MS = 15_000;

/** Yields what comes; throws UNAVAILABLE after `onSilent`, and ends the body, when nothing has come for so long. */
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
