// The program that resolves names inside a sandbox, alone, with a proxy that echoes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

/** `place`: where the proxy listens. Undefined where this machine does not let us have a network namespace. */
function run(place: string): Record<string, unknown> | undefined {
  const folder = mkdtempSync(join(tmpdir(), "names-"));
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  try {
    const harness = join(import.meta.dirname, "testing/names-harness.ts");
    const script = `ip link set lo up && exec "$0" "$1" "$2"`;
    const out = execFileSync("unshare", ["--net", "sh", "-c", script, process.execPath, harness, place || join(folder, "proxy")], {
      encoding: "utf8",
      timeout: 60_000,
    });
    return JSON.parse(out) as Record<string, unknown>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test.for<[string, string, string[]]>([
  ["on one machine", "", []],
  ["in a pod, by a credential that is renewed", "127.0.0.1:4000", ["c-0", "c-1"]],
  ["in a pod over IPv6", "[::1]:4000", ["c-0", "c-1"]],
])(
  "resolves allowed names, carries connections to them, and says what is refused: %s",
  { timeout: 90_000 },
  ([, place, credentials], context) => {
    const found = run(place);
    if (found === undefined) return context.skip("unshare --net needs root");
    const [first, again, wild] = found["addresses"] as string[];
    expect(first).toMatch(/^127\.\d+\.\d+\.\d+$/);
    expect([again, wild === first]).toEqual([first, false]);
    expect(found).toMatchObject({
      sixth: "ENODATA",
      missing: ["ENOTFOUND", "ENOTFOUND"],
      services: ["1 2 27017 t0.example", "1 2 27017 t1.example"],
      manyServices: 32,
      texts: [200, 255],
      noTexts: ["ENODATA", "ENOTFOUND", "ESERVFAIL"],
      echoed: "19 a.example:443:hello",
      large: expect.stringMatching(/^3000015 a\.example:5432:x+$/),
      refused: "ECONNRESET",
      closed: "ECONNREFUSED",
      byProxy: expect.stringContaining("b.example:1:more"),
      plain: expect.stringContaining("HTTP/1.1 403"),
      forged: expect.stringContaining("HTTP/1.1 403"),
      atOnce: 1,
      // One port that the function uses itself costs that port of that name, and nothing else.
      busy: "18 busy.example:443:x",
      afterBusy: "18 after.example:80:x",
      together: 20,
      questions: 1,
      broken: "ESERVFAIL",
      stuck: "ETIMEOUT",
      // What is allowed while the program runs is reached as soon as it is asked for again.
      later: ["ENOTFOUND", "19 later.example:443:x"],
      many: 1_200,
      stillThere: "19 a.example:443:again",
      shown: credentials,
      away: "ECONNRESET",
      exit: 0,
    });
    expect(found["log"]).toContain("egress: single is not allowed. Allow it.");
    expect(found["log"]).toContain("egress: no.example:443 is refused. Ask for another.");
    expect(found["log"]).toContain("egress: http://plain.example/ is refused.");
    expect(found["log"]).not.toContain("forged");
    expect(found["log"]).toContain("busy.example:8080 cannot be reached");
  },
);
