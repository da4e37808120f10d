// Asks an instance whether a handler runs in it (runtime protocol, `settled`).
import { PROTOCOL_PATHS } from "../contract/runtime-protocol.ts";
import { connect, type Reachable } from "./instance-client.ts";

const CONNECT_MS = 5_000;
const ANSWER_CAP = 1_024;

/**
 * True as soon as no handler runs; false when that takes longer than `timeoutMs`, or when the instance does not know the question. Rejects when
 * it takes no connection.
 */
export async function whenSettled(instance: Reachable, timeoutMs: number): Promise<boolean> {
  const client = connect(instance, timeoutMs, ANSWER_CAP, CONNECT_MS);
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const { statusCode, body } = await client.request({ method: "GET", path: PROTOCOL_PATHS.settled, signal: late });
    await body.dump();
    return statusCode === 204;
  } catch (error) {
    if (late.aborted) return false;
    throw error;
  } finally {
    void client.destroy();
  }
}
