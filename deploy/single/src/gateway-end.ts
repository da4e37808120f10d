// Reports to the control plane that a gateway's process has ended, which frees what it held. Only the supervisor can know: a gateway that is
// silent may live.
import { setTimeout as sleep } from "node:timers/promises";
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";
import { Client } from "undici";

/** By then its leases have run out by themselves (15 s and a grace of 5 s). */
const GIVE_UP_MS = 25_000;
const RETRY_MS = 250;

/** Tries again while the control plane is away. Rejects when it refuses the report, or is away for too long. */
export async function reportGatewayEnd(controlSocket: string, internalSecret: string, gateway: string): Promise<void> {
  for (const end = Date.now() + GIVE_UP_MS; ; await sleep(RETRY_MS)) {
    const client = new Client("http://control", { socketPath: controlSocket, headersTimeout: 5_000 });
    try {
      const { statusCode, body } = await client.request({
        method: "POST",
        path: INTERNAL_PATHS.gatewayEnded,
        headers: { authorization: `Bearer ${internalSecret}`, "content-type": "application/json" },
        body: JSON.stringify({ gateway }),
      });
      await body.dump();
      if (statusCode === 200) return;
      throw new Error(`the end of ${gateway} was refused: ${statusCode}`);
    } catch (error) {
      if (Date.now() > end) throw error;
    } finally {
      void client.destroy();
    }
  }
}
