// Measures what the platform adds to a warm request: the same function is called in turns through ingress and directly at its socket.
import { dialOf } from "@fnctl/control-plane/contract/instance-address";
import { Pool } from "undici";
import { startPlatform, TENANT } from "./platform.ts";
import { quantile, type Row } from "./rows.ts";

const BATCH = 500;
const ROUNDS = 12;

async function batch(pool: Pool, path: string, headers: Record<string, string>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < BATCH; i++) {
    const begun = performance.now();
    const { statusCode, body } = await pool.request({ path, method: "GET", headers });
    await body.dump();
    times.push(performance.now() - begun);
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode}`);
  }
  return times;
}

export async function warm(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    await platform.deploy("hello", { "index.js": `export default { fetch: () => new Response("hello") };\n` });
    const headers = { host: `hello--${TENANT}.localhost`, authorization: `Bearer ${platform.token}` };
    const through = new Pool(`http://127.0.0.1:${platform.port}`, { connections: 1 });
    await batch(through, "/", headers);
    const instance = (await platform.instances()).find(({ image }) => image !== undefined);
    if (instance?.address === undefined) throw new Error("no instance");
    const dial = dialOf(instance.address, instance.id, 5_000);
    const direct = new Pool(dial.origin, { connect: dial.connect, connections: 1 });
    const inner = { "x-request-id": "bench-000000000000", "x-fnctl-timeout-ms": "30000", "x-forwarded-proto": "http" };
    await batch(direct, "/", inner);
    const [platformTimes, bareTimes]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      bareTimes.push(...(await batch(direct, "/", inner)));
      platformTimes.push(...(await batch(through, "/", headers)));
    }
    const row = (name: string, share: number, goal: number): Row[] => {
      const [all, bare] = [quantile(platformTimes, share), quantile(bareTimes, share)];
      return [
        {
          what: `warm request, added by the platform, ${name}`,
          value: all - bare,
          unit: "ms",
          goal,
          note: `${all.toFixed(3)} ms in all, ${bare.toFixed(3)} ms straight at the socket`,
        },
      ];
    };
    return [...row("p50", 0.5, 0.3), ...row("p99", 0.99, 1.5)];
  } finally {
    await platform.stop();
  }
}
