// Tells the control plane up to which position of the change stream this process has applied changes; one report at a time, always with the
// newest position.
import type { ChangesClient } from "./changes-client.ts";

/** `report(at)` never throws and never waits. The next report replaces a lost one; the stream's pings make sure that there is one. */
export function createAppliedReport(control: Pick<ChangesClient, "applied">): (at: string) => void {
  let newest: string | undefined;
  let sending = false;

  async function send(): Promise<void> {
    sending = true;
    while (newest !== undefined) {
      const at = newest;
      newest = undefined;
      await control.applied(at).catch(() => undefined); // if the control plane is away, the stream ends, too, and needs no report
    }
    sending = false;
  }
  return (at) => {
    newest = at;
    if (!sending) void send();
  };
}
