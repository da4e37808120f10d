// The scenarios: what a greedy tenant, an anonymous client or killed processes do, and what a neighbour may notice of it.
import { randomUUID } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import { GATEWAY_SCENARIOS } from "./gateway-scenarios.ts";
import type { Scenario, Tenant } from "./scenario.ts";
import { HELLO, WARM, again, deployed, fixture, removed, withQuiet } from "./steps.ts";

/** A function whose import never ends, so that its start takes as long as it may. */
const HANGING = `await new Promise((resolve) => setTimeout(resolve, 3_600_000)); export default {};\n`;
const SPINNING = `export default { fetch: () => { for (;;); } };\n`;
const FLOODING = `import { writeSync } from "node:fs";
const ends = Buffer.alloc(65536, 10);
function flood() { try { writeSync(1, ends); } catch {} for (let i = 0; i < 50; i++) console.log("x".repeat(200)); setImmediate(flood); }
let begun = false;
export default { fetch: () => { if (!begun) flood(); begun = true; return new Response("flooding"); } };\n`;

const spinning: Scenario = {
  ...WARM,
  what: "20 instances that spin",
  async prepare(stage) {
    await withQuiet(stage);
    await deployed(stage.greedy, "spin", { "index.js": SPINNING }, { max: 20, concurrency: 1, timeoutMs: 60_000 });
  },
  async begin({ greedy }) {
    const end = again(20, () => greedy.client.call("spin"));
    await sleep(4_000);
    return async () => {
      await removed(greedy, "spin");
      await end();
    };
  },
};

const flooding: Scenario = {
  ...WARM,
  what: "4 instances that print without end, lines and line ends, while the collector is killed",
  async prepare(stage) {
    await withQuiet(stage);
    await deployed(stage.greedy, "flood", { "index.js": FLOODING }, { min: 4, max: 4, concurrency: 1 });
  },
  async begin({ greedy, kill }) {
    for (let turn = 0; turn < 12; turn++) await Promise.all(Array.from({ length: 4 }, () => greedy.client.call("flood")));
    let ended = false;
    const killing = (async () => {
      while (!ended) {
        await sleep(4_000);
        if (!ended) await kill("log-collector");
      }
    })();
    return async () => {
      ended = true;
      await killing;
      await removed(greedy, "flood");
    };
  },
};

const bombs: Scenario = {
  ...WARM,
  what: "fork bombs, and functions that take all their memory, again and again",
  async prepare(stage) {
    await withQuiet(stage);
    await deployed(
      stage.greedy,
      "forks",
      { "main.py": fixture("forks.py") },
      { runtime: "python3.13", max: 2, concurrency: 1, timeoutMs: 10_000 },
    );
    await deployed(stage.greedy, "eats", { "index.js": fixture("failing.js") }, { max: 4, concurrency: 1, timeoutMs: 10_000 });
  },
  async begin({ greedy }) {
    const ends = [again(2, () => greedy.client.call("forks", "/bomb")), again(4, () => greedy.client.call("eats", "/memory"))];
    await sleep(2_000);
    return async () => {
      await removed(greedy, "forks", "eats");
      await Promise.all(ends.map((end) => end()));
    };
  },
};

const crashing: Scenario = {
  ...WARM,
  what: "functions that end at each request, called by 20 clients",
  async prepare(stage) {
    await withQuiet(stage);
    for (const name of ["ends-a", "ends-b", "ends-c"])
      await deployed(stage.greedy, name, { "index.js": fixture("failing.js") }, { max: 10, concurrency: 1 });
  },
  async begin({ greedy }) {
    let at = 0;
    const end = again(20, () => greedy.client.call(`ends-${"abc"[at++ % 3]}`, "/exit"), 10);
    await sleep(1_000);
    return async () => {
      await removed(greedy, "ends-a", "ends-b", "ends-c");
      await end();
    };
  },
};

/** One deploy of the neighbour, from its source until its version is live. */
async function deployOnce({ client }: Tenant): Promise<string | undefined> {
  const text = randomUUID();
  const { state, problem } = await client.deploy("deploying", {
    "index.js": `export default { fetch: () => new Response("${text}") };\n`,
  });
  return state === "succeeded" ? undefined : `${state} ${problem?.code ?? ""} ${problem?.detail ?? ""}`;
}
const hangingDeploys: Scenario = {
  what: "100 queued deploys whose import hangs; the neighbour's deploys",
  ask: deployOnce,
  pauseMs: 500,
  clients: 1,
  samples: 20,
  prepare: async () => undefined,
  async begin({ greedy }) {
    for (let at = 0; at < 100; at++) await greedy.client.create(`hangs-${at}`, { "index.js": `${HANGING}// ${at}\n` });
    await sleep(1_000);
    return () => removed(greedy, ...Array.from({ length: 100 }, (_, at) => `hangs-${at}`));
  },
};

const spinningDeploys: Scenario = {
  ...spinning,
  what: "20 instances that spin; the neighbour's deploys",
  ask: deployOnce,
  clients: 1,
  samples: 20,
};

/** The first request to a version that has no instance. */
async function coldOnce({ client }: Tenant): Promise<string | undefined> {
  const name = `cold-${coldTurn++ % COLD}`;
  const answer = await client.call(name);
  await answer.text();
  return answer.status === 200 ? undefined : String(answer.status);
}
const COLD = 8;
let coldTurn = 0;
const startStorm: Scenario = {
  what: "30 functions with `min: 5`, deployed one after the other; the neighbour's cold starts",
  ask: coldOnce,
  pauseMs: 400, // eight functions in turn, each ended a second after its request
  clients: 1,
  samples: 30,
  async prepare({ neighbour }) {
    for (let at = 0; at < COLD; at++)
      await deployed(neighbour, `cold-${at}`, { "index.js": `${HELLO}// ${at}\n` }, { idleTimeoutMs: 1_000 });
    await sleep(3_000);
  },
  async begin({ greedy }) {
    let ended = false;
    const deploying = (async () => {
      // A small machine refuses before all 30 are made, because its cap on memory is lower.
      const capped = (error: unknown) => (String(error).includes("QUOTA_EXCEEDED") ? (ended = true) : Promise.reject(error));
      for (let at = 0; at < 30 && !ended; at++)
        await greedy.client.create(`many-${at}`, { "index.js": `${HELLO}// ${at}\n` }, { min: 5, memoryMib: 128 }).catch(capped);
    })();
    await sleep(2_000);
    return async () => {
      ended = true;
      await deploying;
      await removed(greedy, ...Array.from({ length: 30 }, (_, at) => `many-${at}`));
    };
  },
};

const bytesIn = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(path.join(folder, entry.name)).size : 0),
    0,
  );
const ACCESS_LOG_MOST = 5 * 32 * 1024 * 1024;
const anonymousFlood: Scenario = {
  ...WARM,
  what: "an anonymous client with 50 connections, every request refused and logged",
  prepare: withQuiet,
  async begin({ neighbour: { client } }) {
    const pool = new Pool(client.url, { connections: 50 });
    const refused = { method: "GET", path: `/${"a".repeat(1_000)}`, headers: { host: "nobody--nothing.localhost" } } as const;
    const end = again(50, async () => (await pool.request(refused)).body.dump());
    return async () => {
      await end();
      await pool.destroy();
    };
  },
  after: async ({ stateDir }) => {
    const bytes = bytesIn(path.join(stateDir, "access-log"));
    return bytes > ACCESS_LOG_MOST ? [`the access log has ${bytes} bytes`] : [];
  },
};

const badDay: Scenario = {
  ...WARM,
  what: "control plane, driver, collector, egress proxy and Postgres killed in turn, every second",
  prepare: withQuiet,
  async begin({ kill }) {
    let ended = false;
    const parts = ["control-plane", "driver", "log-collector", "egress", "postgres"];
    const killing = (async () => {
      for (let turn = 0; !ended; turn++) {
        await kill(parts[turn % parts.length]!);
        await sleep(1_000);
      }
    })();
    return async () => {
      ended = true;
      await killing;
    };
  },
  async after({ neighbour }) {
    // New versions can be deployed again.
    const end = Date.now() + 30_000;
    for (;;) {
      const state = await deployOnce(neighbour).catch(String);
      if (state === undefined) return [];
      if (Date.now() > end) return [`no deploy after all parts are back: ${state}`];
      await sleep(500);
    }
  },
};

export const SCENARIOS: Record<string, Scenario> = {
  spinning,
  flooding,
  bombs,
  crashing,
  "hanging-deploys": hangingDeploys,
  "spinning-deploys": spinningDeploys,
  "start-storm": startStorm,
  anonymous: anonymousFlood,
  "bad-day": badDay,
  ...GATEWAY_SCENARIOS,
};
