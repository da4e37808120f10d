// What the bootstraps cost per request, beside the bare server of each language in the same run, outside a sandbox, one core each side.
// Prints one JSON document. Rounds alternate between the sides, because the machine is noisy; the best round of each counts.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import { prepareRootfs } from "../base/prepare.ts";
import { bundleScript, nodeBundleOptions } from "../base/recipes.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const ROUND_MS = Number(process.env["ROUND_MS"] ?? 2000);
const CONNECTIONS = 16;
const UUID = "0190a000-0000-7000-8000-000000000000";
const JSON_BODY = JSON.stringify({ text: "x".repeat(1000), n: 1 });

interface Side {
  socket: string;
  child: ChildProcess;
  pool: Pool;
}

const nodeBare = `import http from "node:http";
http.createServer((req, res) => {
  if (req.url === "/hello") { res.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": 5 }); res.end("hello"); return; }
  const chunks = []; req.on("data", (c) => chunks.push(c)); req.on("end", () => { const text = JSON.stringify(JSON.parse(Buffer.concat(chunks).toString())); res.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }); res.end(text); });
}).listen(process.env.FNCTL_SOCKET);`;
const nodeFetch = `export default { async fetch(request) {
  if (request.url.endsWith("/hello")) return new Response("hello");
  return Response.json(await request.json());
} };`;
const nodeSyncFetch = `export default { fetch(request) {
  if (request.url.endsWith("/hello")) return new Response("hello");
  return request.json().then((value) => Response.json(value));
} };`;
const nodeListener = nodeBare
  .replace(/^import.*\n/, "")
  .replace("http.createServer((", "export default ((")
  .replace(/\)\.listen.*$/, ");");
const pythonApp = `import json
async def app(scope, receive, send):
    if scope["path"] == "/hello":
        body, kind = b"hello", b"text/plain; charset=utf-8"
    else:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"): break
        body, kind = json.dumps(json.loads(body)).encode(), b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
`;

const folder = await mkdtemp(join(tmpdir(), "fnctl-bench-"));
await writeFile(
  join(folder, "bootstrap.mjs"),
  await bundleScript(join(import.meta.dirname, "../node/src/main.ts"), nodeBundleOptions(join(import.meta.dirname, ".."))),
);

async function start(name: string, command: string, args: string[], env: Record<string, string>): Promise<Side> {
  const socket = join(folder, `${name}.sock`);
  // The server has a core of its own where there are two.
  const pinned = availableParallelism() > 1 ? ["taskset", "-c", "1", command, ...args] : [command, ...args];
  const child = spawn(pinned[0] as string, pinned.slice(1), {
    env: { PATH: process.env["PATH"] ?? "", NODE_ENV: "production", FNCTL_SOCKET: socket, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const pool = new Pool("http://fn", { socketPath: socket, connections: CONNECTIONS, pipelining: 1 });
  for (let tries = 0; ; tries += 1) {
    const up = await pool.request({ path: "/hello", method: "GET" }).then(
      (reply) => reply.body.dump().then(() => true),
      () => false,
    );
    if (up) return { socket, child, pool };
    if (tries > 400) throw new Error(`${name} did not start.`);
    await sleep(25);
  }
}

async function startShim(
  name: string,
  file: string,
  source: string,
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Side> {
  const code = join(folder, name);
  await mkdir(code);
  await writeFile(join(code, file), source);
  const side = await start(name, command, args, { ...env, FNCTL_CODE: code });
  const init = {
    tenantId: UUID,
    tenant: "a",
    functionId: UUID,
    function: "f",
    versionId: UUID,
    version: 1,
    entry: { file },
    env: {},
    limits: { timeoutMs: 1000, memoryMib: 256, concurrency: 50 },
  };
  const reply = await side.pool.request({ path: "/.fnctl/v1/init", method: "POST", body: JSON.stringify(init) });
  if (reply.statusCode !== 200) throw new Error(await reply.body.text());
  await reply.body.dump();
  return side;
}

/** Requests in one round; the client is undici's dispatch, as in ingress. */
async function round(side: Side, path: string, body: string | undefined): Promise<{ rate: number; cpuMicros: number }> {
  const headers = {
    "x-request-id": "bench-000001",
    "x-fnctl-timeout-ms": "30000",
    "x-forwarded-proto": "https",
    "content-type": "application/json",
  };
  const { pid } = side.child;
  const cpu = async (): Promise<number> => {
    const { readFile } = await import("node:fs/promises");
    const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  };
  const started = performance.now();
  const before = await cpu();
  let count = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - started < ROUND_MS) {
      await new Promise<void>((resolve, reject) => {
        side.pool.dispatch(
          { path, method: body === undefined ? "GET" : "POST", headers, body: body ?? null },
          {
            onRequestStart() {},
            onResponseStart: (_controller, status) => (status === 200 ? undefined : reject(new Error(`status ${status}`))),
            onResponseData() {},
            onResponseEnd: () => resolve(),
            onResponseError: (_controller, error) => reject(error),
          },
        );
      });
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const used = (await cpu()) - before;
  return { rate: count / ((performance.now() - started) / 1000), cpuMicros: used / count };
}

/** A side that answers wrongly must not look quick. */
async function verify(name: string, side: Side, path: string, body: string | undefined): Promise<void> {
  const reply = await side.pool.request({ path, method: body === undefined ? "GET" : "POST", body: body ?? null });
  const text = await reply.body.text();
  const right = body === undefined ? text === "hello" : JSON.stringify(JSON.parse(text)) === body;
  if (reply.statusCode !== 200 || !right) throw new Error(`${name} answered ${path} with ${reply.statusCode}: ${text.slice(0, 200)}`);
}

async function compare(sides: Record<string, Side>): Promise<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const [title, path, body] of [
    ["hello", "/hello", undefined],
    ["jsonEcho1KiB", "/json", JSON_BODY],
  ] as const) {
    for (const [name, side] of Object.entries(sides)) await verify(name, side, path, body);
    const best: Record<string, { rate: number; cpuMicros: number }> = {};
    for (let index = 0; index < ROUNDS + 1; index += 1) {
      for (const [name, side] of Object.entries(sides)) {
        const one = await round(side, path, body);
        const known = best[name];
        // The first round only warms up. CPU per request of the server is the measure: with two shared cores the client is often the limit.
        if (index > 0)
          best[name] =
            known === undefined ? one : { rate: Math.max(known.rate, one.rate), cpuMicros: Math.min(known.cpuMicros, one.cpuMicros) };
      }
    }
    const bare = best["bare"] as { rate: number; cpuMicros: number };
    result[title] = Object.fromEntries(
      Object.entries(best).map(([name, { rate, cpuMicros }]) => [
        name,
        {
          requestsPerSecond: Math.round(rate),
          cpuMicros: Math.round(cpuMicros * 10) / 10,
          ofBareRate: Math.round((rate / bare.rate) * 100) / 100,
          ofBareCpu: Math.round((bare.cpuMicros / cpuMicros) * 100) / 100,
        },
      ]),
    );
  }
  for (const side of Object.values(sides)) {
    side.child.kill("SIGKILL");
    await side.pool.destroy();
  }
  return result;
}

async function benchNode(): Promise<Record<string, unknown>> {
  await writeFile(join(folder, "bare.mjs"), nodeBare);
  const bootstrap = [join(folder, "bootstrap.mjs")];
  return compare({
    bare: await start("node-bare", process.execPath, [join(folder, "bare.mjs")], {}),
    listener: await startShim("node-listener", "index.mjs", nodeListener, process.execPath, bootstrap),
    fetch: await startShim("node-fetch", "index.mjs", nodeSyncFetch, process.execPath, bootstrap),
    asyncFetch: await startShim("node-async-fetch", "index.mjs", nodeFetch, process.execPath, bootstrap),
  });
}

/** Both sides run from the root file system with its own Python, entered by chroot; needs root. */
async function benchPython(): Promise<Record<string, unknown>> {
  if (process.getuid?.() !== 0) return { skipped: "needs root (chroot into the Python root file system)" };
  const rootfs = await prepareRootfs("python3.13", { cacheDir: process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl" });
  const root = join(folder, "root");
  await mkdir(root);
  const { execFileSync } = await import("node:child_process");
  // The cached tree must stay as it is: a copy that shares nothing with it, with the bench folder seen under the same path.
  execFileSync("cp", ["-a", `${rootfs.rootfs}/.`, root]);
  await mkdir(join(root, folder), { recursive: true });
  execFileSync("mount", ["--bind", folder, join(root, folder)]);
  try {
    await writeFile(join(folder, "bare_app.py"), pythonApp);
    const env = { ...rootfs.process.env, PYTHONPATH: `/opt/fnctl/python:${folder}` };
    const uvicorn = [
      "-m",
      "uvicorn",
      "bare_app:app",
      "--uds",
      join(folder, "python-bare.sock"),
      "--loop",
      "uvloop",
      "--http",
      "httptools",
      "--no-access-log",
      "--no-server-header",
      "--lifespan",
      "off",
      "--log-level",
      "error",
    ];
    return await compare({
      bare: await start("python-bare", "/usr/sbin/chroot", [root, "/usr/bin/python3.13", ...uvicorn], env),
      asgi: await startShim(
        "python-asgi",
        "main.py",
        pythonApp,
        "/usr/sbin/chroot",
        [root, "/usr/bin/python3.13", "-m", "fnctl_bootstrap"],
        env,
      ),
    });
  } finally {
    execFileSync("umount", ["-l", join(root, folder)]);
  }
}

try {
  const node = await benchNode();
  console.log(JSON.stringify({ node, python: await benchPython() }, null, 2));
} finally {
  await rm(folder, { recursive: true, force: true });
}
