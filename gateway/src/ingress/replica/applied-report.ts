// Tells the control plane how far this gateway serves the change stream: one report under way at a time, always of the newest position.
import type { ControlClient } from "./control-client.ts";

/** `report(at)` never throws and never waits. A lost report is mended by the next one; the stream's pings make sure that there is one. */
export function createAppliedReport(control: Pick<ControlClient, "applied">): (at: string) => void {
  let newest: string | undefined;
  let sending = false;

  async function send(): Promise<void> {
    sending = true;
    while (newest !== undefined) {
      const at = newest;
      newest = undefined;
      await control.applied(at).catch(() => undefined); // away: its stream ends too, and nobody waits for a reader that is gone
    }
    sending = false;
  }
  return (at) => {
    newest = at;
    if (!sending) void send();
  };
}
