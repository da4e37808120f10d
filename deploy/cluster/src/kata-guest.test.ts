// Runs a pod's first program with the driver's settings and then the class check, under a separate kernel in an emulated virtual machine,
// as in Kata. Only what Kata's shim decides is missing: the machine's size and its cgroup.
import { beforeAll, describe, expect, test } from "vitest";
import { SANDBOX_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { inspect } from "@fnctl/control-plane/sandbox/kubernetes/class-check/inspect";
import { findingsSchema, judgeClass, type Findings } from "@fnctl/control-plane/sandbox/kubernetes/class-check/promises";
import { folders, podMemoryMib } from "@fnctl/control-plane/sandbox/kubernetes/objects/folders";
import { instancePod } from "@fnctl/control-plane/sandbox/kubernetes/objects/pod";
import { cacheDir } from "@fnctl/runtime-images/base/find-runsc";
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { findGuest, runInGuest, type Ended } from "@fnctl/runtime-images/guest/guest";

const { kernel, missing } = findGuest();
const TENANT = "22222222-2222-4222-8222-222222222222";
const spec = {
  id: "0123456789abcdef0123",
  kind: "function",
  base: `sha256:${"a".repeat(64)}`,
  isolation: "kata",
  memoryMib: 128,
  codeMib: 16,
  egress: false,
  epoch: 1,
  tenantId: TENANT,
} as const;
const platform = { uid: "11111111-1111-4111-8111-111111111111", namespace: "fnctl-system", prefix: "fnctl" };
const pod = instancePod({ platform, spec, image: "base", key: "", certificate: "", egress: undefined, enters: "fully" });
const [box] = (pod["spec"] as { containers: [{ env: { name: string; value: string }[] }] }).containers;
const env = Object.fromEntries(
  box.env.filter(({ name }) => /^FNCTL_(MOUNTS|PIDS|SECCOMP)$/.test(name)).map(({ name, value }) => [name, value]),
);
/** The inspection code, in the form the platform sends it to its probe. */
const LOOK = `console.log(JSON.stringify((${inspect.toString()})(${JSON.stringify(folders(spec).map(({ path }) => path))}, ${JSON.stringify(SANDBOX_PATHS.lastWords)})))`;

describe.skipIf(missing !== undefined)(`a pod in Kata, but for the shim${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  let ended: Record<"entered" | "unfiltered", Ended>;
  beforeAll(async () => {
    const { rootfs, podProcess } = await prepareRootfs("node24", { cacheDir: cacheDir() });
    const [perl = "", enter = ""] = podProcess.args;
    const looking = { args: [perl, enter, "/usr/local/bin/node", "-e", LOOK], memoryMib: podMemoryMib(spec), env };
    const { FNCTL_SECCOMP: _filter, ...unfiltered } = env;
    ended = await runInGuest(kernel, rootfs, {
      entered: looking,
      unfiltered: { ...looking, env: unfiltered },
    });
  });
  const found = (how: keyof typeof ended): Findings => findingsSchema.parse(JSON.parse(ended[how].output));
  /** `accountedMib`: memory that the cluster accounts for the pod; the machine itself has 768. */
  const judge = (findings: Findings, accountedMib = 800, nodeBootId = "of another kernel") =>
    judgeClass({ isolation: "kata", folders: folders(spec), accountedMib, nodeBootId }, findings, new Date(0));

  test("is as its class promises", () => {
    expect(ended.entered.status).toBe(0);
    expect(judge(found("entered"))).toMatchObject({ status: "True", message: "Sandboxes of the class kata are as promised." });
  });
  test("is not, when its machine has more memory than its pod accounts for, as with the defaults of Kata's older shim", () => {
    expect(judge(found("entered"), podMemoryMib(spec) + 320)).toMatchObject({
      status: "False",
      message: expect.stringMatching(/its memory: 7\d\d MiB/),
    });
  });
  test("is not, when its kernel is the node's", () => {
    const { bootId } = found("entered");
    expect(judge(found("entered"), 800, bootId)).toMatchObject({ status: "False", message: expect.stringContaining("its kernel") });
  });
  test("is not without the filter, which the guest's kernel does not have of itself", () => {
    const { message } = judge(found("unfiltered"));
    expect(message).toMatch(/its system calls: not filtered, possible: .*unshare/);
    expect(message).not.toMatch(/processes|size of/);
  });
});
