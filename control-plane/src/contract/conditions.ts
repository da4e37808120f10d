// What the platform has found out about the place it runs in; for operators.
import { z } from "zod";
import { isolationSchema } from "./names.ts";

const probeSchema = z.object({
  /** What the probe tried to reach, in words; `address` is where it is. */
  target: z.string(),
  address: z.string(),
  /** Whether a sandbox is meant to reach it. */
  allowed: z.boolean(),
  /** `open`, `silent` (no answer in time), or the error's code. */
  fromSandbox: z.string(),
  /** The result from the platform's own pod, which shows that something listens there at all; absent where it was not tried. */
  fromPlatform: z.string().optional(),
});
export type ProbeResult = z.infer<typeof probeSchema>;

const factSchema = z.object({
  /** What was checked, in words. */
  fact: z.string(),
  /** The value that a sandbox saw, and the promised value. */
  found: z.string(),
  promised: z.string(),
  holds: z.boolean(),
});
export type Fact = z.infer<typeof factSchema>;

/** As Kubernetes writes conditions (meta/v1 Condition). `Unknown`: not found out yet, which counts as False. */
export const conditionSchema = z.object({
  type: z.enum(["NetworkIsolationVerified", "SandboxClassVerified"]),
  /** The isolation class of the sandboxes that were checked. */
  isolation: isolationSchema.optional(),
  status: z.enum(["True", "False", "Unknown"]),
  at: z.iso.datetime(),
  message: z.string(),
  /** Results of NetworkIsolationVerified; empty for other types. */
  probes: z.array(probeSchema),
  /** Results of SandboxClassVerified. */
  facts: z.array(factSchema).optional(),
});
export type Condition = z.infer<typeof conditionSchema>;
/** The list is empty on one machine, where sandboxes have no network device. */
export const conditionsSchema = z.object({ conditions: z.array(conditionSchema) }).meta({ id: "Conditions" });
