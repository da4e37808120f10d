// Ids of requests that bring none of their own: 96 random bits in hexadecimal.
import { randomFillSync } from "node:crypto";

const ID_BYTES = 12;
/** Drawn at once, because each draw costs more than its bytes: a UUID for each request took 1.5 % of ingress. */
const POOL_BYTES = 1_024 * ID_BYTES;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

export function newRequestId(): string {
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.toString("hex", used, (used += ID_BYTES));
}
