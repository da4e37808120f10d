// Reads one blob: what breaks goes on where it broke, and bytes that the digest does not promise end in an error.
import { PlatformError } from "../../contract/errors.ts";
import { DigestMeter } from "../../service/digest.ts";
import { REGISTRY_LIMITS, type Answer, type RegistryClient } from "./client.ts";

/** Fails at its end when the bytes are not the digest's: what came before must not be used until it has ended. */
export async function* blobBytes(
  client: RegistryClient,
  repository: string,
  digest: string,
  most: number = REGISTRY_LIMITS.blobBytes,
): AsyncGenerator<Buffer> {
  const meter = new DigestMeter();
  for (let tried = 1; ; tried++) {
    const answer = await openAt(client, repository, digest, meter.bytes);
    let known = answer.statusCode === 206 ? 0 : meter.bytes; // 200: it does not know ranges and begins anew
    // Not `for await`: what the reader of this generator throws into it is no broken connection.
    const chunks = (answer.body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const step = await chunks.next().catch((cause: unknown) => ({ cause }));
        if ("cause" in step) {
          if (tried === REGISTRY_LIMITS.tries) throw broken(digest, step.cause);
          break;
        }
        if (step.done === true) return verify(meter.digest(), digest);
        const fresh = step.value.subarray(known);
        known -= step.value.length - fresh.length;
        if (fresh.length === 0) continue;
        meter.update(fresh);
        if (meter.bytes > most) throw new PlatformError("UNAVAILABLE", `The registry's blob ${digest} is larger than ${most} bytes.`);
        yield fresh;
      }
    } finally {
      answer.body.on("error", () => undefined).destroy();
    }
    await client.pause(tried);
  }
}

async function openAt(client: RegistryClient, repository: string, digest: string, start: number): Promise<Answer> {
  const range: Record<string, string> = start === 0 ? {} : { range: `bytes=${start}-` };
  const expect = start === 0 ? [200] : [200, 206];
  const answer = await client.open({ method: "GET", to: `${repository}/blobs/${digest}`, repository, headers: range, expect });
  if (answer.statusCode === 206 && !String(answer.headers["content-range"]).startsWith(`bytes ${start}-`)) {
    await answer.body.dump();
    throw new PlatformError("UNAVAILABLE", `The image registry sent another part of the blob ${digest}.`);
  }
  return answer;
}

function verify(found: string, digest: string): void {
  if (found !== digest) throw new PlatformError("INTERNAL", `The registry's blob ${digest} has other bytes.`);
}

const broken = (digest: string, cause: unknown): PlatformError =>
  new PlatformError("UNAVAILABLE", `The image registry broke off the blob ${digest} ${REGISTRY_LIMITS.tries} times.`, { cause });
