// `helm test`: checks from a pod without any rights that the gateway answers as it should and that the platform's internal ports are not
// reachable.
import "@fnctl/control-plane/service/shutdown";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { door } from "./door.ts";
import { lookUntil, type Check } from "./look-until.ts";

const { FNCTL_GATEWAY = "", FNCTL_API_HOST = "", FNCTL_FUNCTION_DOMAIN = "", FNCTL_CLOSED = "" } = process.env;
const WAIT_MS = 5_000;
/** Tries for each check: a new installation must first elect its owner, and every node must learn of its services. */
const TRIES = 40;
/**
 * Wait before the first connection: network policies apply to a new pod a moment late, and its address may have been a gateway's until just
 * now. After this wait, a port that is open once counts as open.
 */
const SETTLE_MS = 5_000;

async function answerOf(host: string, path: string): Promise<string> {
  const client = new Client(`http://${FNCTL_GATEWAY}`, { headersTimeout: WAIT_MS, bodyTimeout: WAIT_MS, maxResponseSize: 65_536 });
  try {
    const { statusCode, body } = await client.request({ method: "GET", path, headers: { host } });
    const text = await body.text();
    return `${statusCode} ${/"code":"([A-Z_]+)"/.exec(text)?.[1] ?? ""}`.trim();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.destroy();
  }
}

const CHECKS: (Check & { what: string })[] = [
  { what: "the API asks who you are", want: "401 UNAUTHENTICATED", look: () => answerOf(FNCTL_API_HOST, "/v1/whoami") },
  // The same answer as for a private function, so that nobody without a token learns which functions exist.
  { what: "a function that is not there", want: "401 UNAUTHENTICATED", look: () => answerOf(`none--none.${FNCTL_FUNCTION_DOMAIN}`, "/") },
  {
    what: "internal routes are not on the public listener",
    want: "404 NOT_FOUND",
    look: () => answerOf(FNCTL_API_HOST, "/internal/v1/leases"),
  },
  ...FNCTL_CLOSED.split(",").map((place) => ({
    what: `${place} is shut to other pods`,
    want: "shut",
    look: () => door(place),
    isFinal: (seen: string) => seen === "open",
  })),
];

let failed = 0;
await sleep(SETTLE_MS);
for (const { what, want, ...check } of CHECKS) {
  const seen = await lookUntil({ want, ...check }, TRIES);
  if (seen !== want) failed++;
  process.stdout.write(`${seen === want ? "ok  " : "FAIL"} ${what}: ${seen}${seen === want ? "" : `, expected ${want}`}\n`);
}
process.exit(failed === 0 ? 0 : 1);
