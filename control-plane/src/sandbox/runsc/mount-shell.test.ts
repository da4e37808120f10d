// Tests the shell that mounts, with real mounts; needs root.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMountShell } from "./mount-shell.ts";
import { mountPoints, unmount } from "./mounts.ts";

const root = process.getuid?.() === 0;
const agent = createMountShell();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "ma-"));
});
afterAll(async () => {
  for (const target of await mountPoints()) if (target.startsWith(folder)) await unmount(target);
  await rm(folder, { recursive: true });
});
async function pair(name: string): Promise<[string, string]> {
  const [from, to] = [path.join(folder, `${name} from`), path.join(folder, `${name} to`)];
  await Promise.all([from, to].map((place) => mkdir(place)));
  await writeFile(path.join(from, "file"), name);
  return [from, to];
}

describe.skipIf(!root)(`the shell that mounts${root ? "" : " (skipped: needs root)"}`, () => {
  test("binds many at once, each where it was asked for, whatever is in a name", async () => {
    const names = [...Array.from({ length: 20 }, (_, index) => `n${index}`), "$(touch broken)", "a;b", "'quoted\"", "*", "-x"];
    const pairs = await Promise.all(names.map(pair));
    await Promise.all(pairs.map(([from, to]) => agent.bind(from, to)));
    expect(await Promise.all(pairs.map(([, to]) => readFile(path.join(to, "file"), "utf8")))).toEqual(names);
  });

  test("says which mount failed, and goes on", async () => {
    const [from, to] = await pair("good");
    const [bad, good] = await Promise.allSettled([agent.bind(path.join(folder, "absent"), to), agent.bind(from, to)]);
    expect(String((bad as PromiseRejectedResult).reason)).toMatch(/mount --bind failed: .*does not exist|special device|No such file/);
    expect(good.status).toBe("fulfilled");
  });

  test("refuses a path that would be two lines", async () => {
    await expect(agent.bind("/a\n/b", "/c")).rejects.toThrow("line break");
  });

  test("begins anew when its shell was killed", async () => {
    const mine = createMountShell();
    const [from, to] = await pair("again");
    await mine.bind(from, to);
    const shells = execFileSync("pgrep", ["-P", String(process.pid), "-f", "read -r source"], { encoding: "utf8" })
      .trim()
      .split("\n");
    for (const pid of shells) process.kill(Number(pid), "SIGKILL");
    const [next, target] = await pair("after");
    await expect.poll(() => mine.bind(next, target).then(() => "bound", String)).toBe("bound");
  });
});
