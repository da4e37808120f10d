// What names lead to is an attacker's to say (SECURITY B5): a DNS server that lies, and a world in which every address that must not be reached has a
// server that would tell.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, test, type TestContext } from "vitest";
import { CLOSED as CLOSED_ADDRESSES, PUBLIC } from "../src/hostile-dns.ts";

interface Found {
  told: string;
  arrived: string[];
  own: string[];
  asked: string[];
}
const SERVED = [
  ["good.example", PUBLIC.v4],
  ["sixth.example", PUBLIC.v6],
] as const;
/** What would be reached from where the proxy is. */
const THERE = Object.values(CLOSED_ADDRESSES);
const CLOSED = ["mixed", "families", "alias", "mapped", "nat64", "sixtofour", "zero", "zeros", "loopback", "hundred"].map(
  (name) => `${name}.example`,
);
const REST = [
  "rebinding.example#1",
  "rebinding.example#2",
  "dead.example",
  "thousand.example",
  "silent.example",
  "nowhere.example",
  "good.elsewhere",
];
/** Names of one tenant's, besides which another tenant asks for a good one. */
const BESIDES = ["silent", "thousand", "rebinding"].map((name) => `&${name}.example`);
const RECORDS = {
  srv: "/srv/_mongodb._tcp.good.example",
  txt: "/txt/good.example",
  none: "/txt/sixth.example",
  silent: "/srv/silent.example",
  elsewhere: "/srv/_mongodb._tcp.shard1.elsewhere.example",
  target: "/names/shard1.elsewhere.example",
};

/** What `public` reaches: names and addresses, and none of what is closed. */
const EVERYTHING = [
  { question: "+good.elsewhere", arrived: [] }, // the name server knows no such name
  { question: "+good.example", arrived: [PUBLIC.v4] },
  { question: `+${PUBLIC.v4}`, arrived: [PUBLIC.v4] },
  { question: `+[${PUBLIC.v6}]`, arrived: [PUBLIC.v6] },
  { question: "+mixed.example", arrived: [] },
  { question: "+loopback.example", arrived: [] },
  ...Object.values(CLOSED_ADDRESSES).map((address) => ({
    question: `+${address.includes(":") ? `[${address}]` : address}`,
    arrived: [] as string[],
  })),
];

let all: Record<string, Found> | undefined;
beforeAll(() => {
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
  } catch {
    return; // this machine does not let us have a network namespace
  }
  const folder = mkdtempSync(path.join(tmpdir(), "hd-"));
  const harness = path.join(import.meta.dirname, "../src/hostile-dns-harness.ts");
  const questions = [
    ...THERE.map((address) => `@${address}`),
    ...SERVED.map(([name]) => name),
    ...CLOSED,
    ...REST,
    ...BESIDES,
    ...Object.values(RECORDS),
    ...EVERYTHING.map(({ question }) => question),
  ];
  const script = 'ip link set lo up && exec "$0" "$@"';
  try {
    const out = execFileSync("unshare", ["--net", "sh", "-c", script, process.execPath, harness, folder, ...questions], {
      encoding: "utf8",
      timeout: 110_000,
    });
    all = JSON.parse(out) as Record<string, Found>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);

const here = (context: TestContext): Record<string, Found> => all ?? context.skip("unshare --net needs root");

test("what is closed is there, and tells", (context) => {
  const found = here(context);
  for (const address of THERE) expect(found[`@${address}`]).toMatchObject({ told: `hello from ${address}`, arrived: [address] });
});

describe("a name that leads to", () => {
  for (const [name, address] of SERVED)
    test(`${address} is reached there`, (context) => {
      const found = here(context);
      expect(found[name]).toMatchObject({ told: expect.stringContaining(`hello from ${address}`) as string, arrived: [address], own: [] });
    });
  for (const name of CLOSED)
    test(`what is closed is not reached: ${name}`, (context) => {
      const found = here(context);
      expect(found[name]).toMatchObject({ told: expect.stringMatching(/^HTTP\/1.1 403 /) as string, arrived: [], own: [] });
      expect(found[name]?.told).toContain(`${name} leads to an address that functions may not reach.`);
    });
  test("another place the second time (rebinding) is judged the second time", (context) => {
    const found = here(context);
    // Each connection asks once, so that what was checked is what is dialled.
    expect(found["rebinding.example#1"]).toMatchObject({ arrived: [PUBLIC.v4], own: [] });
    expect(found["rebinding.example#1"]?.asked.filter((asked) => asked.startsWith("A "))).toHaveLength(1);
    expect(found["rebinding.example#2"]).toMatchObject({ told: expect.stringContaining("may not reach") as string, arrived: [], own: [] });
  });
  test("a thousand addresses is not judged at all", (context) => {
    const told = expect.stringContaining("has more than 128 addresses") as string;
    expect(here(context)["thousand.example"]).toMatchObject({ told, arrived: [], own: [] });
  });
  test("a hundred dead addresses is given up after a few", (context) => {
    const found = here(context);
    expect(found["dead.example"]).toMatchObject({ told: expect.stringMatching(/^HTTP\/1.1 503 /) as string, arrived: [], own: [] });
  });
  test("nothing is told so, in time", (context) => {
    const found = here(context);
    for (const name of ["silent.example", "nowhere.example"])
      expect(found[name]).toMatchObject({ told: expect.stringContaining(`${name} has no address.`) as string, arrived: [] });
  });
  test("somewhere without a rule is not asked for", (context) => {
    const found = here(context);
    expect(found["good.elsewhere"]).toMatchObject({ told: expect.stringContaining("is not allowed") as string, arrived: [], asked: [] });
  });
});

describe("a function that may reach everything public", () => {
  test.for(EVERYTHING)("$question", ({ question, arrived }, context) => {
    expect(here(context)[question]).toMatchObject({ arrived, own: [] });
  });
});

test.for(BESIDES)("another tenant is served besides many that ask for %s", (question, context) => {
  expect(here(context)[question]?.told).toMatch(new RegExp(`^(meanwhile|afterwards) HTTP/1.1 200 [^]*hello from ${PUBLIC.v4}$`));
  // What never answers keeps those alone waiting that ask for it.
  if (question.includes("silent")) expect(here(context)[question]?.told).toMatch(/^meanwhile/);
});

describe("SRV and TXT", () => {
  test("of a name that a rule covers are told, up to a number, whole", (context) => {
    const found = here(context);
    const lines = found[RECORDS.srv]!.told.trimEnd().split("\n");
    expect(lines).toHaveLength(32);
    const target = Buffer.concat([Buffer.from("\x06shard0\x09elsewhere\x07example\0", "latin1")]);
    expect(lines[0]).toBe(`200 000000006989${target.toString("hex")}`);
    expect(found[RECORDS.txt]?.told).toBe("200 03ff00410162\n");
  });
  test("that are not there are none, and those of a server that never answers are not told", (context) => {
    const found = here(context);
    expect(found[RECORDS.none]?.told).toBe("200 ");
    expect(found[RECORDS.silent]?.told).toMatch(/^503 /);
  });
  test("allow nothing that they name", (context) => {
    const found = here(context);
    for (const question of [RECORDS.elsewhere, RECORDS.target])
      expect(found[question]).toMatchObject({ told: expect.stringMatching(/^403 /) as string, asked: [] });
  });
});
