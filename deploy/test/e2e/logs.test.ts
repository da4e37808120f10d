// `fnctl logs` as people use it, and what hostile lines cannot do (SECURITY D10, D11).
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { api, call } from "./api.ts";
import { fnctl, startFnctl } from "./cli.ts";
import { deployFixture } from "./fixture.ts";
import { instancesOf, killAndWait } from "./processes.ts";

const logs = async (...args: string[]) => (await fnctl(["logs", "writer", ...args])).stdout;
const lines = (text: string): string[] => text.split("\n").filter(Boolean);
const say = (path: string, requestId?: string) =>
  call("writer", path, requestId === undefined ? {} : { headers: { "x-request-id": requestId } });
interface LogLine {
  at: number;
  level: string;
  source: string;
  version: number;
  instance: string;
  requestId?: string;
  message: string;
}
const records = async (...args: string[]) => lines(await logs("--json", ...args)).map((line) => JSON.parse(line) as LogLine);

beforeAll(async () => {
  await deployFixture("writer", "writer.js", { idleTimeoutMs: 2_000 });
});

describe("fnctl logs", () => {
  test("prints the last 100 lines and exits; -n asks for others", async () => {
    await say("/many?count=130");
    await expect.poll(() => logs("-n", "1")).toContain("line 130 of many");
    const shown = lines(await logs());
    expect(shown).toHaveLength(100);
    expect(shown.at(0)).toContain("line 31 of many");
    expect(shown.at(-1)).toContain("line 130 of many");
    expect(lines(await logs("-n", "7"))).toHaveLength(7);
  });

  test("--request-id shows one request's lines only", async () => {
    await Promise.all([say("/say?text=first", "request-one-1"), say("/say?text=second", "request-two-2")]);
    await expect.poll(() => logs("--request-id", "request-one-1")).toMatch(/ v1 request- info {2}first\n$/);
    expect(await logs("--request-id", "request-two-2")).not.toContain("first");
    expect((await fnctl(["logs", "writer", "--request-id", "never-was-here"])).stderr).toContain("no log lines");
  });

  test("--json gives one record a line, with level, version and request", async () => {
    await say("/levels", "levels-request");
    await expect.poll(async () => (await records("--request-id", "levels-request")).length).toBe(4);
    for (const record of await records("--request-id", "levels-request")) {
      expect(record.message).toBe(`on level ${record.level}`);
      expect(record).toMatchObject({ version: 1, requestId: "levels-request", source: expect.stringMatching(/^std(out|err)$/) });
      expect(Math.abs(Date.now() - record.at)).toBeLessThan(60_000);
    }
  });

  test("--since takes a duration or a time", async () => {
    await say("/say?text=before");
    await expect.poll(() => logs("-n", "1")).toContain("before");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const then = new Date().toISOString();
    await say("/say?text=after");
    await expect.poll(() => logs("--since", then)).toContain("after");
    expect(await logs("--since", then)).not.toContain("before");
    expect(await logs("--since", "1h")).toContain("before");
    expect((await fnctl(["logs", "writer", "--since", "yesterday-ish"])).code).toBe(2);
  });

  test("-f prints what comes, once, over a kill of the control plane too, and ends on Ctrl-C with 130", async () => {
    const following = startFnctl(["logs", "writer", "-f", "-n", "1"]);
    const printed = (what: string) => expect.poll(following.stdout, { timeout: 20_000 }).toContain(what);
    await printed("\n"); // the one line that is kept already
    await say("/say?text=follow-one");
    await printed("follow-one");
    await killAndWait("control-plane");
    await say("/say?text=follow-two");
    await printed("follow-two");
    following.interrupt();
    expect((await following.ended).code).toBe(130);
    for (const line of [/follow-one/g, /follow-two/g]) expect(following.stdout().match(line)).toHaveLength(1);
  });

  test("works at zero instances, and of a version that is no longer served", async () => {
    // After the kill above the instance stays for the time of a lease, until no gateway can claim it; then it is idle.
    await expect.poll(() => instancesOf("writer"), { timeout: 60_000, interval: 500 }).toEqual([]);
    expect(await logs("-n", "1")).toContain("follow-two");
    await deployFixture("writer", "writer.js", { idleTimeoutMs: 2_000, env: { RELEASE: "2" } });
    await say("/say?text=from-the-second");
    await expect.poll(() => logs("--version", "2")).toContain("from-the-second");
    expect(await logs("--version", "v1")).toContain("follow-two");
    expect(await logs("--version", "v1")).not.toContain("from-the-second");
  });

  test("of a function that is not there leaves with 4", async () => {
    expect((await fnctl(["logs", "nobody"])).code).toBe(4);
  });
});

/** script(1), part of every Debian, gives a command a terminal. */
const TERMINAL = "/usr/bin/script";

describe("hostile lines", () => {
  /** Runs the CLI as on a terminal. */
  const onTerminal = (command: string): Promise<string> => {
    const { cli, config } = inject("platform");
    const env = { ...process.env, FNCTL_CONFIG: config, NO_COLOR: "1", TERM: "xterm" };
    return new Promise((resolve, reject) => {
      execFile(TERMINAL, ["-qec", `${process.execPath} ${cli} ${command}`, "/dev/null"], { env, timeout: 30_000 }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
    });
  };
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  const STEERING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

  test.skipIf(!existsSync(TERMINAL))(
    "steer no terminal (skipped without script(1)): every control character is made visible, in text and in JSON",
    async () => {
      await say("/hostile", "hostile-request");
      await expect.poll(async () => (await records("--request-id", "hostile-request")).length).toBe(4);
      for (const command of ["logs writer --request-id hostile-request", "logs writer --json --request-id hostile-request"]) {
        const shown = await onTerminal(command);
        expect(shown).toContain("pwned");
        expect(shown).not.toMatch(STEERING);
        expect(shown.replaceAll("\r\n", "\n")).not.toContain("\r");
      }
    },
  );

  test("forge no record: one call of console.log is one record, whatever is in it", async () => {
    const kept = await records("--request-id", "hostile-request");
    expect(kept.map(({ level }) => level)).toEqual(["info", "info", "info", "info"]);
    expect(kept.at(-1)!.message).toContain("forged");
  });

  test("claim nothing: version, instance and source come from the channel", async () => {
    await say("/raw");
    await expect.poll(() => logs()).toContain("forged record");
    const forged = (await records()).find(({ message }) => message === "forged record")!;
    expect(forged).toMatchObject({ version: 2, source: "stdout" });
    expect(forged.instance).not.toBe("other");
    const plain = (await records()).find(({ message }) => message.startsWith("plain "))!;
    expect(plain.message.isWellFormed()).toBe(true);
  });

  test("of ten megabytes are cut, not kept", async () => {
    await say("/long", "long-request");
    await expect.poll(async () => (await records("--request-id", "long-request")).length, { timeout: 10_000 }).toBeGreaterThan(0);
    const kept = await records("--request-id", "long-request");
    expect(kept.reduce((sum, { message }) => sum + message.length, 0)).toBeLessThan(64 * 1024);
    expect(kept[0]!.message).toMatch(/^begin l+/);
  });
});

test("the log goes with its function", async () => {
  await deployFixture("shortlived", "writer.js");
  await call("shortlived", "/say?text=remember-me");
  await expect.poll(async () => (await fnctl(["logs", "shortlived"])).stdout).toContain("remember-me");
  expect((await api("DELETE", "/v1/functions/shortlived")).status).toBe(204);
  await deployFixture("shortlived", "writer.js");
  expect((await fnctl(["logs", "shortlived"])).stdout).not.toContain("remember-me");
});

describe("system calls that gVisor does not implement", () => {
  const told = async (name: string) => {
    const { stdout } = await fnctl(["logs", name, "--json", "-n", "1000"]);
    return lines(stdout)
      .map((line) => JSON.parse(line) as LogLine)
      .filter(({ source, message }) => source === "platform" && message.includes("does not implement"));
  };

  test("are told to the owner of a version that makes them, once, with what to do", async () => {
    await deployFixture("calls", "calls.py", { idleTimeoutMs: 2_000 });
    await call("calls", "/none");
    await call("calls", "/calls");
    await expect.poll(() => told("calls"), { timeout: 20_000 }).toHaveLength(1);
    const [record] = await told("calls");
    expect(record).toMatchObject({ level: "warn", version: 1 });
    expect(record!.message).toMatch(/made: sys_1999, userfaultfd, vmsplice\. .*isolation: kata/);
    await expect.poll(() => instancesOf("calls"), { timeout: 20_000, interval: 500 }).toEqual([]);
    await call("calls", "/calls"); // another instance of the same version
    await new Promise((resolve) => setTimeout(resolve, 5_000)); // longer than a report takes
    expect(await told("calls")).toHaveLength(1);
  });

  test("are not spoken of to those who make none, whatever the runtime does", async () => {
    expect((await fnctl(["logs", "writer", "-n", "1"])).stdout).not.toBe("");
    expect(await told("writer")).toEqual([]);
  });
});
