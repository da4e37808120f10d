// A sandbox that is dead while its node reports it as running, on the real cluster: its processes are stopped from outside, so that it no
// longer answers and no event says so.
import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { inside } from "@fnctl/control-plane/sandbox/runsc/testing/probe";
import type { Sandbox } from "@fnctl/control-plane/sandbox/driver";
import { kubectl } from "./kubectl.ts";
import { withDriverHost } from "./with-driver-host.ts";

const { current, newPod } = withDriverHost();
const field = (id: string, path: string) =>
  kubectl(["get", "pods", "-A", "-l", `fnctl.dev/instance=${id}`, "-o", `jsonpath={.items[*]${path}}`]);

/** Process ids of the pod's processes; empty if its node is not this machine. */
async function processesOf(id: string): Promise<number[]> {
  const uid = await field(id, ".metadata.uid");
  const inPod = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`pod${uid}`);
    } catch {
      return false; // it has ended
    }
  };
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid) && inPod(pid))
    .map(Number);
}
const stateOf = async ({ id }: Sandbox) => (await current().driver.list()).find((instance) => instance.id === id);

/** Spins in more than one thread, to use all the processor time the sandbox may have. */
const SPIN = `
  const { Worker } = await import("node:worker_threads");
  for (let i = 0; i < 3; i++) new Worker("for (;;);", { eval: true });
  setTimeout(() => { for (;;); }, 200);`;
/** Number of looks, one a second as the platform's loop does; enough for several rounds of the driver's own check. */
const LOOKS = 30;

test("is listed as ended, with the reason, and makes room; one that spins, and a neighbour, are not given up", async (context) => {
  const [dead, spinning, neighbour] = await Promise.all([newPod(), newPod(), newPod()]);
  const stopped = await processesOf(dead.id);
  if (stopped.length === 0) return context.skip("the node of this cluster is another machine, whose processes cannot be stopped from here");
  await inside(spinning, SPIN);
  expect((await stateOf(dead))?.state).toBe("loaded");
  try {
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    const seen: (Sandbox | undefined)[] = [];
    for (let looked = 0; looked < LOOKS; looked++) {
      seen.push(await stateOf(dead));
      expect([(await stateOf(spinning))?.state, (await stateOf(neighbour))?.state]).toEqual(["loaded", "loaded"]);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    expect(await field(dead.id, ".status.phase")).toBe("Running"); // the node still reports it as running
    const first = seen.findIndex((instance) => instance?.state === "ended");
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThanOrEqual(12);
    expect(seen.at(-1)?.ended).toEqual({ reason: "exited", detail: expect.stringContaining("answers no more") });
    await expect(current().driver.load(dead.id, dead.image!)).rejects.toMatchObject({ code: "FUNCTION_CRASHED" });
    const gone = current().driver.stop(dead.id);
    await expect.poll(() => stateOf(dead)).toBeUndefined(); // at once, although the node cannot confirm it while the processes are stopped
    for (const pid of stopped) process.kill(pid, "SIGCONT");
    await gone;
  } finally {
    for (const pid of await processesOf(dead.id)) process.kill(pid, "SIGCONT");
  }
  expect(await inside(neighbour)).toBe("alive");
  // If only the namespace was deleted, the spinning pod would have 15 minutes to end.
  await Promise.all([spinning, neighbour].map(({ id }) => current().driver.stop(id)));
});
