// Function logs on a real cluster, from a gVisor pod through the kubelet's files and the node's agent to `fnctl logs` (SECURITY I3, D10,
// D11).
import { readFileSync } from "node:fs";
import path from "node:path";
import type { LogRecord } from "@fnctl/control-plane/contract/logs";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createCustomer, type Customer } from "./customer.ts";
import { createPlatformHost, type PlatformHost } from "./platform-host.ts";

const soon = { timeout: 30_000, interval: 500 };
const fixture = (name: string) => readFileSync(path.resolve(import.meta.dirname, "../fixtures", name), "utf8");
/** A function that prints a given text, counts in the background, fills its log, or ends its process. */
const TALKER = `
let count = 0;
export default async (request) => {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/say") console.log(searchParams.get("text"));
  if (pathname === "/count") setInterval(() => console.log("number " + count++), 20);
  if (pathname === "/flood") setInterval(() => { for (let i = 0; i < 5000; i++) console.log("flood " + "x".repeat(100)); }, 100);
  if (pathname === "/fill") {
    const filling = setInterval(() => {
      console.log("number " + count++ + " " + "x".repeat(8000));
      if (count >= Number(searchParams.get("to"))) clearInterval(filling);
    }, 10);
  }
  if (pathname === "/exit") setTimeout(() => process.exit(3), 50);
  return Response.json({ count });
};
`;
const yaml = (name: string, more = "") => `name: ${name}\nruntime: node24\n${more}`;

let platform: PlatformHost;
let customer: Customer;
beforeAll(async () => {
  platform = await createPlatformHost(inject("cluster"));
  customer = await createCustomer(platform);
  await customer.deploy("talker", { "fnctl.yaml": yaml("talker", "idleTimeout: 5s\n"), "index.js": TALKER });
}, 300_000);
afterAll(async () => {
  await (customer as Customer | undefined)?.close();
  await (platform as PlatformHost | undefined)?.close(); // undefined if it did not start
});

async function records(name: string, ...args: string[]): Promise<LogRecord[]> {
  const running = customer.start(["logs", name, "--json", "-n", "10000", ...args]);
  expect([await running.ended, running.text()]).toEqual([0, expect.any(String)]);
  const json = running
    .text()
    .split("\n")
    .filter((line) => line.startsWith("{"));
  return json.map((line) => JSON.parse(line) as LogRecord);
}
const messages = async (...args: Parameters<typeof records>) => (await records(...args)).map(({ message }) => message);
const say = (text: string, headers: Record<string, string> = {}) => customer.call("talker", `/say?text=${text}`, headers);
const pods = async (selector: string, ...where: string[]): Promise<string[]> =>
  (await platform.kubectl(["get", "pods", "-l", selector, "-o", "name", ...where])).split("\n").filter(Boolean);

describe("fnctl logs", () => {
  test("prints what a function printed, with its request and its version", async () => {
    await say("hello-logs", { "x-request-id": "request-one-1" });
    await expect.poll(() => messages("talker"), soon).toContain("hello-logs");
    const [record] = await records("talker", "--request-id", "request-one-1");
    expect(record).toMatchObject({ level: "info", source: "stdout", version: 1, message: "hello-logs" });
  });

  test("-f goes on with what comes", async () => {
    const following = customer.start(["logs", "talker", "-f", "-n", "1"]);
    await expect.poll(following.text, soon).toContain("\n");
    await say("follow-me");
    await expect.poll(following.text, soon).toContain("follow-me");
    following.interrupt();
    expect(await following.ended).toBe(130);
    expect(following.text().match(/follow-me/g)).toHaveLength(1);
  });

  test("works when no instance and no pod of it is there any more", async () => {
    const [{ instance } = { instance: "" }] = (await records("talker")).slice(-1);
    await expect.poll(() => pods(`fnctl.dev/instance=${instance}`, "-A"), { timeout: 60_000, interval: 1000 }).toEqual([]);
    expect(await messages("talker")).toEqual(expect.arrayContaining(["hello-logs", "follow-me"]));
  });

  test("has the platform's note when an instance ends by itself", async () => {
    await customer.call("talker", "/exit");
    await expect
      .poll(() => records("talker"), soon)
      .toContainEqual(expect.objectContaining({ source: "platform", level: "error", message: expect.stringContaining("ended by itself") }));
  });

  test("has nothing for another tenant", async () => {
    const { token } = await customer.newTenant("other");
    const running = customer.start(["logs", "talker"], token);
    expect(await running.ended).toBe(4);
    expect(running.text()).not.toContain("hello-logs");
  });
});

describe("no line is lost", () => {
  const numbers = async (name: string) =>
    (await messages(name)).flatMap((message) => (message.startsWith("number ") ? [Number.parseInt(message.slice(7))] : []));
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

  test("when the agent and the control plane are killed while a function prints", async () => {
    await customer.deploy("counter", { "fnctl.yaml": yaml("counter"), "index.js": TALKER });
    expect(await customer.call("counter", "/count")).toMatchObject({ status: 200 });
    const printed = () =>
      numbers("counter").then(
        (all) => all.length,
        () => 0, // no control plane owns the platform at the moment
      );
    await expect.poll(printed, soon).toBeGreaterThan(50);
    const before = await printed();
    const [agent = ""] = await pods("fnctl.dev/role=log-agent", "-n", platform.namespace);
    const force = ["-n", platform.namespace, "--grace-period=0", "--force"];
    await platform.kubectl(["delete", agent, ...force]);
    await platform.kubectl(["delete", "pods", "-l", "fnctl.dev/role=control-plane", ...force]);
    await platform.kubectl(["rollout", "status", "daemonset/fnctl-log-agent", "-n", platform.namespace, "--timeout=60s"]);
    await expect.poll(printed, { timeout: 60_000, interval: 500 }).toBeGreaterThan(before + 200);
    const seen = await numbers("counter");
    expect(seen).toEqual(upTo(Math.max(...seen) + 1));
  });

  test("when the kubelet rotates the file", async () => {
    await customer.deploy("long", { "fnctl.yaml": yaml("long"), "index.js": TALKER });
    const file = 10 * 1024 * 1024; // default of a kubelet's containerLogMaxSize
    const count = Math.ceil(file / 8000) + 50;
    await expect.poll(() => customer.call("long", `/fill?to=${count}`), soon).toMatchObject({ status: 200 });
    await expect.poll(async () => (await numbers("long")).length, { timeout: 60_000, interval: 2_000 }).toBe(count);
    const { instance } = (await records("long", "-n", "1"))[0]!;
    const [agent = ""] = await pods("fnctl.dev/role=log-agent", "-n", platform.namespace);
    const list = `const fs = require("node:fs"); const [pod] = fs.readdirSync("/var/log/pods").filter((name) => name.includes("${instance}"));
      console.log(fs.readdirSync("/var/log/pods/" + pod + "/sandbox").join(" "));`;
    const files = () => platform.kubectl(["exec", agent, "-n", platform.namespace, "--", "node", "-e", list]);
    await expect.poll(files, soon).toMatch(/0\.log\.\d{8}-\d{6}/);
    await customer.call("long", `/fill?to=${count + 50}`);
    await expect.poll(async () => (await numbers("long")).length, soon).toBe(count + 50);
    expect(await numbers("long")).toEqual(upTo(count + 50));
  });

  test("of a quiet function when another one floods; the flood is cut and says so", async () => {
    await customer.deploy("flood", { "fnctl.yaml": yaml("flood"), "index.js": TALKER });
    // Retried, because another owner has just taken over.
    await expect.poll(() => customer.call("flood", "/flood"), soon).toMatchObject({ status: 200 });
    await expect
      .poll(() => messages("flood", "-n", "5000"), soon)
      .toContainEqual(expect.stringMatching(/lines dropped: this instance writes more/));
    await say("still-here");
    await expect.poll(() => messages("talker"), soon).toContain("still-here");
    const { instance } = (await records("flood", "-n", "1"))[0]!;
    await platform.kubectl(["delete", "pods", "-A", "-l", `fnctl.dev/instance=${instance}`, "--grace-period=0", "--force"]);
  });
});

describe("the agent", () => {
  test("has no token, no capability and no way to write but to its own folder", async () => {
    const [agent = ""] = await pods("fnctl.dev/role=log-agent", "-n", platform.namespace);
    const script = `
      const fs = require("node:fs");
      const tried = (work) => { try { work(); return "done"; } catch (error) { return error.code; } };
      console.log(JSON.stringify({
        capabilities: /CapEff:\\s+(\\w+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1],
        token: fs.existsSync("/var/run/secrets/kubernetes.io"),
        root: tried(() => fs.writeFileSync("/x", "")),
        logs: tried(() => fs.writeFileSync("/var/log/pods/x", "")),
      }));`;
    const seen = await platform.kubectl(["exec", agent, "-n", platform.namespace, "--", "node", "-e", script]);
    expect(JSON.parse(seen)).toEqual({ capabilities: "0000000000000000", token: false, root: "EROFS", logs: "EROFS" });
  });

  test("may do nothing in the cluster", async () => {
    const account = `system:serviceaccount:${platform.namespace}:fnctl-log-agent`;
    const rights = await platform.kubectl(["auth", "can-i", "--list", `--as=${account}`, "-n", platform.namespace, "--no-headers"]);
    const objects = rights.split("\n").filter((line) => /^[a-z]/.test(line) && !line.startsWith("selfsubject"));
    expect(objects).toEqual([]);
  });
});

describe("system calls that gVisor does not implement", () => {
  const told = async (name: string) => (await records(name)).filter(({ message }) => message.includes("does not implement"));

  test("are told to the owner of a version that makes them, and nobody else", async () => {
    await customer.deploy("calls", { "fnctl.yaml": "name: calls\nruntime: python3.13\n", "main.py": fixture("calls.py") });
    await customer.call("calls", "/none");
    await customer.call("calls", "/calls");
    await expect.poll(() => told("calls"), soon).toHaveLength(1);
    const [record] = await told("calls");
    expect(record).toMatchObject({ level: "warn", source: "platform", version: 1 });
    expect(record!.message).toMatch(/made: sys_1999, userfaultfd, vmsplice\. .*isolation: kata/);
    expect(await told("talker")).toEqual([]);
  });
});
