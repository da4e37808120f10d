// Runs a bootstrap in gVisor that listens as in a pod, with TLS on a port and code sent to it. The sandbox has the host's network, for this
// test only.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "undici";
import tar from "tar-stream";
import { dialOf } from "@fnctl/control-plane/contract/instance-address";
import { CODE_DIGEST_HEADER, POD_ENV, PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir, findRunsc } from "../base/find-runsc.ts";
import { prepareRootfs, type RootfsName } from "../base/prepare.ts";
import { eventually } from "./client.ts";
import { startSandbox, type Sandbox } from "./runsc.ts";

export const ID = "0123456789abcdef0123";
export const CODE_BYTES = 64 * 1024;

/** Makes a certificate like the driver's, but with openssl, because this package does not import the driver. */
export function makeCertificate(name: string): { key: string; certificate: string } {
  const folder = mkdtempSync(join(tmpdir(), "fnctl-pki-"));
  const file = (part: string) => join(folder, part);
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`, "-days", "1"];
  const keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file("key"), "-out", file("crt")];
  execFileSync("openssl", ["req", "-x509", ...keys, ...subject], { stdio: "ignore" });
  const pair = { key: readFileSync(file("key"), "utf8"), certificate: readFileSync(file("crt"), "utf8") };
  rmSync(folder, { recursive: true });
  return pair;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Pod {
  sandbox: Sandbox;
  port: number;
  certificate: string;
  ask(
    path: string,
    sent?: { method?: "GET" | "POST" | "PUT"; body?: string | Buffer; headers?: Record<string, string>; pin?: string },
  ): Promise<{ status: number; text: string }>;
  put(layer: Buffer, digest?: string): Promise<{ status: number; text: string }>;
  init(file: string): Promise<{ status: number; text: string }>;
  health(): Promise<unknown>;
  stop(): Promise<void>;
}

export async function startPod(name: RootfsName): Promise<Pod> {
  const { key, certificate } = makeCertificate(ID);
  const port = await freePort();
  const env = {
    [POD_ENV.port]: String(port),
    [POD_ENV.key]: key,
    [POD_ENV.certificate]: certificate,
    [POD_ENV.codeBytes]: String(CODE_BYTES),
  };
  const rootfs = await prepareRootfs(name, { cacheDir: cacheDir() });
  const sandbox = await startSandbox({ runsc: findRunsc().binary, rootfs, env, hostNetwork: true });
  const ask: Pod["ask"] = async (path, { method = "GET", body, headers = {}, pin = certificate } = {}) => {
    const dial = dialOf({ kind: "tls", host: "127.0.0.1", port, pin }, ID, 5_000);
    const client = new Client(dial.origin, { connect: dial.connect });
    try {
      const answer = await client.request({ path, method, headers, body: body ?? null });
      return { status: answer.statusCode, text: await answer.body.text() };
    } finally {
      await client.destroy();
    }
  };
  const health = async () => JSON.parse((await ask(PROTOCOL_PATHS.health)).text) as unknown;
  await eventually(
    () =>
      health().then(
        () => true,
        () => undefined,
      ),
    `the port; output so far: ${sandbox.output()}`,
  );
  return {
    sandbox,
    port,
    certificate,
    ask,
    health,
    put: (layer, digest = digestOf(layer)) =>
      ask(PROTOCOL_PATHS.code, { method: "PUT", body: layer, headers: { [CODE_DIGEST_HEADER]: digest } }),
    init: (file) => ask(PROTOCOL_PATHS.init, { method: "POST", body: JSON.stringify(initBody(file)) }),
    stop: () => sandbox.stop(),
  };
}

const UUID = "0190a000-0000-7000-8000-000000000000";
const initBody = (file: string) => ({
  tenantId: UUID,
  tenant: "acme",
  functionId: UUID,
  function: "case",
  versionId: UUID,
  version: 1,
  entry: { file },
  env: { A: "from init" },
  limits: { timeoutMs: 30_000, memoryMib: 128, concurrency: 10 },
});

export const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A layer's tar with these entries below `function/code`, and the entries of `odd` unchanged. */
export async function layerTar(
  files: Record<string, string>,
  odd: Array<[Partial<tar.Header> & { name: string }, string?]> = [],
): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name: "function", type: "directory", mode: 0o755 });
  pack.entry({ name: "function/code", type: "directory", mode: 0o755 });
  for (const [name, text] of Object.entries(files)) pack.entry({ name: `function/code/${name}`, mode: 0o644 }, text);
  for (const [header, text] of odd) pack.entry(header, text ?? "");
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
