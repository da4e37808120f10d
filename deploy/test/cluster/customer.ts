// Acts as a tenant's developer and clients on a platform under test: `fnctl deploy`, single requests, a steady stream of requests.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Pool, request } from "undici";
import { z } from "zod";
import { TENANT, type PlatformHost } from "./platform-host.ts";

/** Longest takeover by another control plane (SECURITY 4.2). */
const TAKEOVER_MS = 20_000;
const tenantSchema = z
  .object({ id: z.string(), token: z.object({ secret: z.string() }) })
  .transform(({ id, token }) => ({ id, token: token.secret }));
export const CLI = path.resolve(import.meta.dirname, "../../../cli/src/main.ts");

export interface Answer {
  status: number;
  text: string;
}
export interface Running {
  /** The output so far. */
  text(): string;
  interrupt(): void;
  ended: Promise<number>;
}
export interface Customer {
  /** Starts the CLI as a process that may keep running. */
  start(args: string[], token?: string, cwd?: string): Running;
  /** Deploys a function with these files. Rejects with the output of `fnctl deploy` when it fails. */
  deploy(name: string, files: Record<string, string>, token?: string): Promise<string>;
  /** Runs the CLI in a folder; rejects with its output when it fails. */
  fnctl(args: string[], cwd: string, token?: string): Promise<string>;
  call(name: string, where?: string, headers?: Record<string, string>): Promise<Answer>;
  /** Makes a tenant with the operator's token. */
  newTenant(slug: string, risk?: "standard" | "elevated"): Promise<{ id: string; token: string }>;
  /**
   * Sends requests over all connections, which are spread over the gateways, so that each gateway has an instance of the function
   * afterwards.
   */
  warmUp(name: string): Promise<void>;
  /** Sends `perSecond` requests a second, however long the answers take, until the returned function is called. */
  traffic(name: string, perSecond: number): () => Promise<{ sent: number; failed: string[] }>;
  close(): Promise<void>;
}
/** Number of connections that are kept open, as a few clients would. */
const CONNECTIONS = 8;

export async function createCustomer(platform: PlatformHost): Promise<Customer> {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-customer-"));
  const headersFor = (name: string) => ({
    host: `${name}--${TENANT}.${platform.domain}`,
    authorization: `Bearer ${platform.token}`,
  });

  function start(args: string[], token = platform.token, cwd = folder): Running {
    const env = { PATH: process.env["PATH"], HOME: folder, NO_COLOR: "1", FNCTL_URL: platform.url, FNCTL_TOKEN: token };
    const child = spawn(process.execPath, [CLI, ...args], { cwd, env });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const ended = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
    return { text: () => text, interrupt: () => void child.kill("SIGINT"), ended };
  }

  async function fnctl(args: string[], cwd: string, token = platform.token): Promise<string> {
    const running = start(args, token, cwd);
    const code = await running.ended;
    if (code === 0) return running.text();
    const log = await platform.kubectl(["logs", "-n", platform.namespace, "-l", "fnctl.dev/role=control-plane", "--tail=20"]);
    throw new Error(`fnctl ${args.join(" ")}: ${code}\n${running.text()}\n${log}`);
  }

  function traffic(name: string, perSecond: number) {
    const pool = new Pool(platform.url, { connections: CONNECTIONS, pipelining: 1 });
    const result = { sent: 0, failed: [] as string[] };
    const open = new Set<Promise<void>>();
    const one = async () => {
      const at = new Date().toISOString().slice(17, 23);
      try {
        const { statusCode, body } = await pool.request({ method: "GET", path: "/", headers: headersFor(name) });
        const text = await body.text();
        if (statusCode !== 200) result.failed.push(`${at} ${statusCode} ${text.slice(0, 200)}`);
      } catch (error) {
        result.failed.push(`${at} ${String(error)}`);
      }
    };
    let going = true;
    const begun = performance.now();
    const done = (async () => {
      while (going) {
        for (const due = ((performance.now() - begun) / 1000) * perSecond; result.sent < due; result.sent++) {
          const work = one();
          open.add(work);
          void work.then(() => open.delete(work));
        }
        await sleep(5);
      }
      await Promise.all(open);
      await pool.close();
      return result;
    })();
    return () => {
      going = false;
      return done;
    };
  }

  async function call(name: string, where = "/", headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await request(`${platform.url}${where}`, { headers: { ...headersFor(name), ...headers } });
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  return {
    start,
    fnctl,
    async warmUp(name) {
      for (let round = 0; round < 3; round++)
        for (const { status, text } of await Promise.all(Array.from({ length: 12 }, () => call(name))))
          if (status !== 200) throw new Error(`${name}: ${status} ${text}`);
    },
    async deploy(name, files, token) {
      const own = await mkdtemp(path.join(folder, `${name}-`));
      for (const [file, text] of Object.entries(files)) await writeFile(path.join(own, file), text);
      return fnctl(["deploy"], own, token);
    },
    call,
    async newTenant(slug, risk = "standard") {
      const headers = { authorization: `Bearer ${platform.operatorToken}`, "content-type": "application/json" };
      const body = JSON.stringify({ slug, risk });
      // A takeover may be under way: the answer 503 then says when to try again.
      for (const until = Date.now() + TAKEOVER_MS; ;) {
        const made = await request(`${platform.url}/v1/tenants`, { method: "POST", headers, body });
        const text = await made.body.text();
        if (made.statusCode === 503 && Date.now() < until) await sleep(Number(made.headers["retry-after"]) * 1000);
        else if (made.statusCode !== 201) throw new Error(`tenant ${slug}: ${made.statusCode} ${text}`);
        else return tenantSchema.parse(JSON.parse(text));
      }
    },
    traffic,
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
