// `helm test`: from a pod without any rights, the gateway answers as it should, and the platform's inner doors are shut.
import "@fnctl/control-plane/service/shutdown";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { door } from "./door.ts";
import { lookUntil, type Check } from "./look-until.ts";

const { FNCTL_GATEWAY = "", FNCTL_API_HOST = "", FNCTL_FUNCTION_DOMAIN = "", FNCTL_CLOSED = "" } = process.env;
const WAIT_MS = 5_000;
/** A new installation has to find its owner first, and every node to hear of its services. */
const TRIES = 40;
/**
 * Before the first knock: enforcers learn of a new pod a moment late, and its address may have been that of a gateway until just now.
 * After that a door that is open once is open.
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
  // As of one that is there and private: without a token nobody learns which functions there are.
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
