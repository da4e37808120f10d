// One HTTP exchange with an instance, over the socket that the platform dials; for tests.
import { Client } from "undici";
import { dialOf } from "../../contract/instance-address.ts";
import { PROTOCOL_PATHS, type InitRequest } from "../../contract/runtime-protocol.ts";
import type { ImageRef, Sandbox } from "../driver.ts";

export interface Answer {
  status: number;
  text: string;
}

export async function ask(
  { id, address }: Pick<Sandbox, "id" | "address">,
  path: string,
  options: { method?: "GET" | "POST"; body?: string; timeoutMs?: number } = {},
): Promise<Answer> {
  const timeout = options.timeoutMs ?? 20_000;
  if (address === undefined) throw new Error("The instance has no address.");
  const dial = dialOf(address, id, timeout);
  const client = new Client(dial.origin, { connect: dial.connect, headersTimeout: timeout, bodyTimeout: timeout });
  try {
    const answer = await client.request({ path, method: options.method ?? "GET", body: options.body ?? null });
    return { status: answer.statusCode, text: await answer.body.text() };
  } finally {
    await client.destroy();
  }
}

/** `init` for a function whose entry is `file`. */
export function initFor(image: ImageRef, file = "index.mjs"): InitRequest {
  const { tenantId, functionId, versionId, version } = image;
  const limits = { timeoutMs: 30_000, memoryMib: 128, concurrency: 10 };
  return { tenantId, functionId, versionId, version, tenant: "acme", function: "probe", entry: { file }, env: {}, limits };
}

export function init(instance: Pick<Sandbox, "id" | "address">, image: ImageRef, file?: string): Promise<Answer> {
  return ask(instance, PROTOCOL_PATHS.init, { method: "POST", body: JSON.stringify(initFor(image, file)) });
}
