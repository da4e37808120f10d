// The whole way on a real cluster: installed by the chart, deployed with the CLI, built in a gVisor pod, answered from a gVisor pod.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { conditionsSchema, type Condition } from "@fnctl/control-plane/contract/conditions";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { TENANT, createPlatformHost, type PlatformHost } from "./platform-host.ts";

const EXAMPLES = path.resolve(import.meta.dirname, "../../../examples");
const CLI = path.resolve(import.meta.dirname, "../../../cli/src/main.ts");
let platform: PlatformHost;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fnctl-cluster-cli-"));
  platform = await createPlatformHost(inject("cluster"));
}, 300_000);
afterAll(async () => {
  await (platform as PlatformHost | undefined)?.close(); // undefined when it did not come up
  await rm(folder, { recursive: true, force: true });
});

/** A function of these files. */
async function deploy(name: string, files: Record<string, string>, token = platform.token): Promise<string> {
  const own = await mkdtemp(path.join(folder, `${name}-`));
  for (const [file, text] of Object.entries(files)) await writeFile(path.join(own, file), text);
  return run(own, token);
}

/** `fnctl deploy` in a folder; rejects with what it prints when it fails. */
async function run(cwd: string, token: string): Promise<string> {
  const env = { PATH: process.env["PATH"], HOME: folder, NO_COLOR: "1", FNCTL_URL: platform.url, FNCTL_TOKEN: token };
  const child = spawn(process.execPath, [CLI, "deploy"], { cwd, env });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code === 0) return text;
  const log = await platform.kubectl(["logs", "-n", platform.namespace, "deploy/fnctl-control-plane", "--tail=20"]);
  throw new Error(`fnctl deploy: ${String(code)}\n${text}\n${log}`);
}

async function call(name: string, where = "/"): Promise<{ status: number; text: string }> {
  const headers = { host: `${name}--${TENANT}.${platform.domain}`, authorization: `Bearer ${platform.token}` };
  const answer = await request(`${platform.url}${where}`, { headers });
  return { status: answer.statusCode, text: await answer.body.text() };
}

const HELLO = `
import { readFileSync } from "node:fs";
export default { fetch: () => Response.json({ kernel: readFileSync("/proc/version", "utf8"), uid: process.getuid(), env: Object.keys(process.env) }) };
`;

test("deploy, build and invoke: the answer comes from gVisor, from an unprivileged user who knows nothing of the cluster", async () => {
  await deploy("hello", { "fnctl.yaml": "name: hello\nruntime: node24\n", "index.js": HELLO });
  const answer = await call("hello");
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
  const seen = JSON.parse(answer.text) as { kernel: string; uid: number; env: string[] };
  expect(seen.kernel).toContain("gvisor");
  expect(seen.uid).toBe(10_001);
  expect(seen.env.filter((name) => /KUBERNETES|_SERVICE_|TLS/.test(name) && (process.env[name] ?? "") !== "")).toEqual([]);
});

test.each([
  ["hono-api", "/"],
  ["fastapi-app", "/"],
])("a build of %s installs its packages through the egress proxy, from a builder that reaches nothing else", async (name, where) => {
  await run(path.join(EXAMPLES, name), platform.token);
  expect(await call(name, where)).toMatchObject({ status: 200 });
  const log = await platform.kubectl(["logs", "-n", platform.namespace, "deploy/fnctl-egress", "--tail=500"]);
  const lines = log.split("\n").filter((line) => line.includes('"label":"builder"'));
  expect(JSON.parse(lines.at(-1) ?? "{}")).toMatchObject({
    tenant: expect.stringMatching(/^[0-9a-f-]{36}$/),
    bytesDown: expect.any(Number),
  });
});

test("a Python function, too", async () => {
  const source = 'def handler(event, context):\n    return {"statusCode": 200, "body": "from python"}\n';
  await deploy("snake", { "fnctl.yaml": "name: snake\nruntime: python3.13\n", "main.py": source });
  expect(await call("snake")).toEqual({ status: 200, text: "from python" });
});

test("a tenant of elevated risk has no pod in gVisor: without Kata's nodes it is told what is missing", async () => {
  const made = await request(`${platform.url}/v1/tenants`, {
    method: "POST",
    headers: { authorization: `Bearer ${platform.operatorToken}`, "content-type": "application/json" },
    body: JSON.stringify({ slug: "risky", risk: "elevated" }),
  });
  const { id, token } = (await made.body.json()) as { id: string; token: { secret: string } };
  const files = { "fnctl.yaml": "name: risky\nruntime: node24\n", "index.js": HELLO };
  await expect(deploy("risky", files, token.secret)).rejects.toThrow(
    /ISOLATION_UNAVAILABLE[^]*node labelled fnctl\.dev\/sandbox=kata[^]*Install the kata runtime/,
  );
  const pods = await platform.kubectl(["get", "pods", "-A", "-l", `fnctl.dev/tenant=${id}`, "-o", "name"]);
  expect(pods.trim()).toBe("");
});

async function operator(method: "GET" | "POST", where: string): Promise<Condition> {
  const answer = await request(`${platform.url}${where}`, { method, headers: { authorization: `Bearer ${platform.operatorToken}` } });
  const { conditions } = conditionsSchema.parse(await answer.body.json());
  return conditions[0]!;
}

describe("the network around a sandbox", () => {
  test("is closed, as seen from inside gVisor, but for the egress proxy; and what is closed is there", async () => {
    const condition = await operator("POST", "/v1/conditions/check");
    expect(condition).toMatchObject({ type: "NetworkIsolationVerified", status: "True" });
    const { probes } = condition;
    expect(probes.filter(({ fromSandbox }) => fromSandbox === "open").map(({ target }) => target)).toEqual(["the egress proxy"]);
    const proved = new Set(probes.filter(({ allowed, fromPlatform }) => !allowed && fromPlatform === "open").map(({ target }) => target));
    // Positive controls: the platform's own pod, which no policy holds, reaches these at the same time by the same probe.
    const there = ["another tenant's sandbox", "another sandbox of the same tenant", "the control plane", "the gateway", "the database"];
    expect([...proved]).toEqual(expect.arrayContaining([...there, "the Kubernetes API", "a node", "the cluster's DNS"]));
    expect(probes.map(({ address }) => address)).toEqual(
      expect.arrayContaining(["169.254.169.254:80/tcp", "[fd00:ec2::254]:80/tcp", "1.1.1.1:443/udp", "224.0.0.251:5353/udp"]),
    );
  });

  test("with a hole in it is found out, no tenant's sandbox is started any more, and mending it is enough", async () => {
    const probes = `${platform.prefix}-00000000-0000-7000-8000-00000000000a`;
    const open = { policyTypes: ["Ingress", "Egress"], podSelector: {}, ingress: [{}], egress: [{}] };
    const hole = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "hole", namespace: probes }, spec: open };
    await platform.kubectl(["apply", "-f", "-"], JSON.stringify(hole));
    const found = await operator("POST", "/v1/conditions/check");
    expect(found).toMatchObject({ status: "False", message: expect.stringContaining("the Kubernetes API") });
    await expect(deploy("refused", { "fnctl.yaml": "name: refused\nruntime: node24\n", "index.js": HELLO })).rejects.toThrow(
      /ISOLATION_UNAVAILABLE[^]*fnctl doctor cluster/,
    );
    await platform.kubectl(["delete", "networkpolicy", "hole", "-n", probes]);
    expect(await operator("POST", "/v1/conditions/check")).toMatchObject({ status: "True" });
    await deploy("mended", { "fnctl.yaml": "name: mended\nruntime: node24\n", "index.js": HELLO });
  });
});
