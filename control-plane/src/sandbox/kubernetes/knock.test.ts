// What a knock reports, over real sockets: for a process that spins, for one that is gone, and for a machine that does not answer at all.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { knock } from "./knock.ts";

/** A program that listens, prints its port, and then blocks its event loop for ever. */
const SPINS = `
  const server = require("node:net").createServer().listen(0, "127.0.0.1", () => {
    require("node:fs").writeSync(1, String(server.address().port));
    for (;;);
  });`;

test("a process that spins is there, however often; once it is gone, it is silent", async () => {
  const child = spawn(process.execPath, ["-e", SPINS], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const place = { host: "127.0.0.1", port: Number(said.toString()) };
  const seen: string[] = [];
  for (let looked = 0; looked < 20; looked++) seen.push(await knock(place, 1_000));
  expect(new Set(seen)).toEqual(new Set(["there"]));
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await knock(place, 1_000)).toBe("silent");
});

test("nobody who would say no: silent; no way at all: unknown", () => {
  // Run in plain Node, because the test runner rewrites imports.
  const script = `import { knock } from "${import.meta.dirname}/knock.ts"; for (const host of ["10.8.8.8", "10.7.7.7"]) console.log(await knock({ host, port: 8443 }, 300));`;
  const veth = "ip link add veth8 type veth peer name veth9 && ip link set veth8 up && ip link set veth9 up";
  const inside = `${veth} && ip addr add 10.9.9.1/24 dev veth8 && ip route add 10.8.8.8/32 dev veth8 && exec "$0" --input-type=module -e "$1"`;
  const said = execFileSync("unshare", ["--net", "sh", "-c", inside, process.execPath, script], { encoding: "utf8" });
  expect(said.trim().split("\n")).toEqual(["silent", "unknown"]);
});
