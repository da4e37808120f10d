// Reads one blob: a download that breaks is resumed where it broke, and bytes that do not match the digest end in an error.
import { PlatformError } from "../../contract/errors.ts";
import { DigestMeter } from "../../service/digest.ts";
import { REGISTRY_LIMITS, type Answer, type RegistryClient } from "./client.ts";

/** Throws after the last byte when the bytes do not match the digest, so the caller must not use any of them before the end. */
export async function* blobBytes(
  client: RegistryClient,
  repository: string,
  digest: string,
  most: number = REGISTRY_LIMITS.blobBytes,
): AsyncGenerator<Buffer> {
  const meter = new DigestMeter();
  for (let tried = 1; ; tried++) {
    const answer = await openAt(client, repository, digest, meter.bytes);
    let known = answer.statusCode === 206 ? 0 : meter.bytes; // 200: the registry does not support ranges and starts from the first byte
    // Not `for await`: an error that the reader throws into this generator must not be treated as a broken connection.
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
