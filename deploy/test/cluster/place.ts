// The platform in a cluster as the egress suites take it.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startOutside, type Outside } from "../egress/outside.ts";
import type { Place } from "../egress/place.ts";
import { createApiClient } from "../src/api-client.ts";
import type { Cluster } from "./cluster.ts";
import { CLI, createCustomer } from "./customer.ts";
import { HOST_ADDRESS, TENANT, createPlatformHost, type PlatformHost } from "./platform-host.ts";

/** Addresses of the cluster's services, which an operator should not open. */
export const SERVICES = process.env["FNCTL_TEST_SERVICES"] ?? "10.96.0.0/16";

export interface ClusterPlace extends Place {
  outside: Outside;
  platform: PlatformHost;
  close(): Promise<void>;
}

export async function createPlace(cluster: Cluster): Promise<ClusterPlace> {
  const outside = await startOutside(HOST_ADDRESS);
  const platform = await createPlatformHost(cluster, {
    "egress.dns[0]": outside.dns,
    "egress.functionPrivate[0]": `${HOST_ADDRESS}/32`,
    "egress.functionPrivate[1]": SERVICES,
  });
  const { newTenant, ...customer } = await createCustomer(platform);
  const { api, call, deploy } = createApiClient({ url: platform.url, tenant: TENANT, token: () => platform.token });
  return {
    api,
    call,
    deploy,
    fnctl: createCli(platform),
    operatorToken: () => platform.operatorToken,
    newTenant: async (slug) => ({ slug, token: (await newTenant(slug)).token }),
    outside,
    platform,
    close: () => end([customer, platform, outside]),
  };
}
async function end(parts: readonly Pick<Outside, "close">[]): Promise<void> {
  for (const part of parts) await part.close();
}

function createCli(platform: PlatformHost): Place["fnctl"] {
  const folder = mkdtempSync(path.join(tmpdir(), "fnctl-cluster-cli-"));
  return (args) =>
    new Promise((resolve, reject) => {
      const env = { PATH: process.env["PATH"], HOME: folder, NO_COLOR: "1", FNCTL_URL: platform.url, FNCTL_TOKEN: platform.token };
      const child = spawn(process.execPath, [CLI, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 });
      let [stdout, stderr] = ["", ""];
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      child.on("error", reject);
      child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    });
}
