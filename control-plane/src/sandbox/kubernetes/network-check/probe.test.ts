// Runs the probe's text in a network namespace of its own, where pings need no privilege and one address drops them.
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { probe, type ProbeTarget } from "./probe.ts";

test("TCP: open, refused; UDP: answered, silent", async () => {
  const tcp = createServer((socket) => void socket.end()).listen(0, "127.0.0.1");
  const [answering, silent] = [createSocket("udp4"), createSocket("udp4")];
  answering.on("message", (bytes, { port, address }) => answering.send(bytes, port, address));
  for (const socket of [answering, silent]) socket.bind(0, "127.0.0.1");
  await Promise.all([tcp, answering, silent].map((one) => once(one, "listening")));
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const closed = (gone.address() as AddressInfo).port;
  await new Promise((resolve) => gone.close(resolve));
  const at = (protocol: "tcp" | "udp", port: number): ProbeTarget => ({ protocol, host: "127.0.0.1", port });
  const targets = [
    at("tcp", (tcp.address() as AddressInfo).port),
    at("tcp", closed),
    at("udp", answering.address().port),
    at("udp", silent.address().port),
  ];
  expect(await probe(targets, 300)).toEqual(["open", "ECONNREFUSED", "open", "silent"]);
  tcp.close();
  for (const socket of [answering, silent]) socket.close();
});

test("ICMP: answered, silent, no way, not allowed", () => {
  const ping = (setUp: string, ...hosts: string[]): unknown => {
    const targets = hosts.map((host): ProbeTarget => ({ protocol: "icmp", host, port: 0 }));
    // Run in plain Node, because the test runner rewrites dynamic imports and so the function's text.
    const text = `import { probe } from "${import.meta.dirname}/probe.ts"; const again = eval("(" + probe.toString() + ")");`;
    const script = `${text} console.log(JSON.stringify(await again(${JSON.stringify(targets)}, 300)));`;
    const inside = `ip link set lo up && ${setUp} && exec "$0" --input-type=module -e "$1"`;
    return JSON.parse(execFileSync("unshare", ["--net", "sh", "-c", inside, process.execPath, script], { encoding: "utf8" }));
  };
  const open = "sysctl -qw net.ipv4.ping_group_range='0 2147483647'";
  const deaf = `${open} && ip addr add 10.9.9.1/24 dev lo && ip link add veth8 type veth peer name veth9 && ip link set veth8 up && ip link set veth9 up && ip route add 10.8.8.8/32 dev veth8`;
  expect(ping(deaf, "127.0.0.1", "10.9.9.1", "10.8.8.8", "10.7.7.7")).toEqual(["open", "open", "silent", "ENETUNREACH"]);
  expect(ping(deaf, "10.8.8.8", "127.0.0.1", "10.8.8.8")).toEqual(["silent", "open", "silent"]);
  expect(ping(deaf, "10.8.8.8")).toEqual(["silent"]);
  expect(ping("sysctl -qw net.ipv4.ping_group_range='1 0'", "127.0.0.1")).toEqual(["EACCES"]);
});
