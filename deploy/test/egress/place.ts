// A platform under test, on one machine or in a cluster, and the world outside of it: what the egress suites need of either.
import { readFileSync } from "node:fs";
import path from "node:path";
import type { ApiClient } from "../src/api-client.ts";
import type { Outside } from "./outside.ts";

export interface Place extends Pick<ApiClient, "api" | "call" | "deploy"> {
  fnctl(args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  operatorToken(): string;
  newTenant(slug: string): Promise<{ slug: string; token: string }>;
  outside: Pick<Outside, "address" | "ca">;
}

const folder = path.resolve(import.meta.dirname, "../fixtures");
export const fixture = (file: string): string => readFileSync(path.join(folder, file), "utf8");

/** Deploys one fixture as a function; throws the build's problem and log when that fails. */
export async function deployFixtureTo(
  { deploy }: Pick<ApiClient, "deploy">,
  name: string,
  file: string,
  config: Record<string, unknown> = {},
  as?: string,
): Promise<void> {
  const [main, runtime] = file.endsWith(".py") ? ["main.py", "python3.13"] : ["index.js", "node24"];
  const end = await deploy(name, { [main]: fixture(file) }, { runtime, ...config }, as);
  if (end.state !== "succeeded") throw new Error(`${name}: ${JSON.stringify(end.problem)}\n${end.log}`);
}

/** Opens the private address that stands for the outside to the first tenant's functions, on these ports. */
export async function openOutside({ api, operatorToken, outside }: Place, ...ports: number[]): Promise<void> {
  const { tenant } = (await (await api("GET", "/v1/whoami")).json()) as { tenant: { id: string } };
  const body = { private: [{ addresses: outside.address, ports }] };
  const set = await api("PUT", `/v1/tenants/${tenant.id}/egress-ceiling`, { body, token: operatorToken() });
  if (set.status !== 200) throw new Error(`ceiling: ${set.status} ${await set.text()}`);
}
