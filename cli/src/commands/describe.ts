import { functionConfigSchema, type FunctionConfig } from "@fnctl/control-plane/contract/config";
import { allowedBy, ruleFor } from "@fnctl/control-plane/contract/egress-rules";
import { functionPath, liveText, looseDetail } from "../api/resources.ts";
import { functionName } from "../project/load-project.ts";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { bytes, duration } from "../terminal/amounts.ts";
import { facts } from "../terminal/table.ts";
import type { z } from "zod";

export const describe: Register = (program, io) => {
  addCommand(program, "describe", "one function: what serves it, its limits, its instances, its last failure")
    .argument("[name]", "the function; absent: that of fnctl.yaml")
    .action(async (given: string | undefined, flags: GlobalFlags) => {
      const session = createSession(io, flags);
      const name = await functionName(io.cwd, given, "describe");
      const detail = await (await session.api()).json(looseDetail, "GET", functionPath(name));
      session.result(detail, text(detail));
    });
};

function text(fn: z.infer<typeof looseDetail>): string {
  const { live, lastFailure } = fn;
  // Undefined when a newer platform knows settings that this CLI does not.
  const config = live === null ? undefined : functionConfigSchema.safeParse(live.config).data;
  const inUse = fn.instances.reduce((sum, instance) => sum + instance.inUse, 0);
  return facts([
    ["name", fn.name],
    ["url", fn.url],
    ["path url", fn.pathUrl],
    ["runtime", fn.runtime],
    ["access", fn.access],
    ["live", live === null ? liveText(fn) : `v${live.number}, since ${live.createdAt}`],
    ["image", live?.imageDigest ?? undefined],
    ["image size", live === null || live.imageBytes === null ? undefined : bytes(live.imageBytes)],
    ["limits", config === undefined ? undefined : limits(config)],
    ["reaches", config === undefined ? undefined : reach(config)],
    ["instances", `${fn.instances.length}, with ${inUse} requests`],
    [
      "last failure",
      lastFailure === null ? undefined : `${lastFailure.at} v${lastFailure.version} ${lastFailure.reason}: ${lastFailure.detail}`,
    ],
  ]);
}

function reach({ egress }: FunctionConfig): string {
  if (egress === "public") return "every public address, ports 80 and 443";
  return (
    allowedBy(egress)
      .map(({ host, ports }) => ports.map((port) => ruleFor(host, port)).join(", "))
      .join(", ") || "nothing"
  );
}

function limits(config: FunctionConfig): string {
  const { memoryMib, timeoutMs, idleTimeoutMs, min, max, concurrency } = config;
  return `${memoryMib}MB, timeout ${duration(timeoutMs)}, idle ${duration(idleTimeoutMs)}, ${min} to ${max} instances of ${concurrency} requests`;
}
