// Follows the cluster page of the manual word for word on an empty cluster: the commands are read from the page, and only the names in
// example.com are replaced by this cluster's.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";
import { kubectl } from "./kubectl.ts";
import { GATEWAY_ADDRESS, HOST_ADDRESS, NODES, siteValues } from "./platform-host.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const PAGE = path.join(ROOT, "deploy/cluster/README.md");
const NAMESPACE = "fnctl-system";
const cluster = inject("cluster");
let postgres: TestPostgres;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fnctl-readme-"));
  postgres = await startTestPostgres({ address: HOST_ADDRESS, clients: NODES });
});
afterAll(async () => {
  const uid = await kubectl(["get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.uid}"]).catch(() => "none");
  await shell(`helm uninstall fnctl -n ${NAMESPACE} --wait --timeout=60s`).catch(() => undefined);
  await kubectl(["delete", "namespace", "-l", `fnctl.dev/platform=${uid}`, "--wait=false"]);
  await kubectl(["delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found"]);
  await (postgres as TestPostgres | undefined)?.stop(); // undefined if it did not start
  await rm(folder, { recursive: true, force: true });
});

/** Runs commands as at a prompt, and ends at the first that fails. Files that the page writes are redirected to the test's folder. */
function shell(script: string): Promise<string> {
  const PATH = `${cluster.bin === null ? "" : `${cluster.bin}:`}${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const env = { ...process.env, PATH, KUBECONFIG: cluster.kubeconfig, HOME: folder, NO_COLOR: "1" };
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-c", `shopt -s expand_aliases; set -euo pipefail\n${script}`], { cwd: ROOT, env });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(text) : reject(new Error(`${code}: ${text}`))));
  });
}

/** The commands on the page under this heading. */
async function commands(heading: string): Promise<string> {
  const text = await readFile(PAGE, "utf8");
  const found = new RegExp(`^## ${heading}$[^]*?^\`\`\`sh$([^]*?)^\`\`\`$`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`${PAGE} has no commands under ${heading}.`);
  return found;
}

test("Install: from an empty cluster to a function that answers and whose log is read", async () => {
  const site = path.join(folder, "site.json");
  await writeFile(site, JSON.stringify(await siteValues(folder, postgres)));
  const own: [string, string][] = [
    ["https://registry.example.com/fnctl", `http://${cluster.registry}/fnctl`],
    ["postgresql://admin:…@postgres.example.com/fnctl?sslmode=verify-full", postgres.tcp],
    ["export FNCTL_URL=https://functions.example.com", `export FNCTL_URL=http://${GATEWAY_ADDRESS}`],
    // Files that the page writes go into the test's folder; site.yaml is replaced, because this cluster needs more values than the page's
    // three.
    [/cat > site\.yaml <<'END'[^]*?^END$/m.exec(await commands("Install"))![0], ""],
    ["-f site.yaml", `-f ${site}`],
    ["> images.yaml", `> ${folder}/images.yaml`],
    ["-f images.yaml", `-f ${folder}/images.yaml`],
    ["fnctl init hello", `cd ${folder} && fnctl init hello`],
  ];
  let script = (await commands("Install")).replaceAll(/\btokens$|\btokens\b(?=\))/gm, `${folder}/tokens`);
  for (const [theirs, ours] of own) {
    expect(script).toContain(theirs);
    script = script.replace(theirs, ours);
  }
  const ca = process.env["NODE_EXTRA_CA_CERTS"];
  if (ca !== undefined) script = script.replace("# 3.", `kubectl create configmap extra-ca -n ${NAMESPACE} --from-file=ca.pem=${ca}\n# 3.`);
  expect(script).not.toContain("example.com");
  const printed = await shell(script);
  expect(printed).toMatch(/Phase: +Succeeded/);
  expect(printed).toMatch(/NetworkIsolationVerified/);
  expect(printed).toMatch(/ready +\d/); // the last phase of the deployment
  expect(printed).toMatch(/Hello/i);
}, 300_000);
