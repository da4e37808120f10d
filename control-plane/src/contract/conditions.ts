// What the platform has found out about the place it runs in; for operators.
import { z } from "zod";
import { isolationSchema } from "./names.ts";

const probeSchema = z.object({
  /** What was tried to be reached, in words, and where it is. */
  target: z.string(),
  address: z.string(),
  /** Whether a sandbox is meant to reach it. */
  allowed: z.boolean(),
  /** `open`, `silent` (no answer in time), or the error's code. */
  fromSandbox: z.string(),
  /** The same from the platform's own pod, which shows that there is something to be reached; absent where it was not tried. */
  fromPlatform: z.string().optional(),
});
export type ProbeResult = z.infer<typeof probeSchema>;

const factSchema = z.object({
  /** What was looked at, in words. */
  fact: z.string(),
  /** As a sandbox found it, and as it is promised. */
  found: z.string(),
  promised: z.string(),
  holds: z.boolean(),
});
export type Fact = z.infer<typeof factSchema>;

/** As Kubernetes writes conditions (meta/v1 Condition). `Unknown`: not found out yet, which counts as False. */
export const conditionSchema = z.object({
  type: z.enum(["NetworkIsolationVerified", "SandboxClassVerified"]),
  /** The class of sandboxes that was looked at. */
  isolation: isolationSchema.optional(),
  status: z.enum(["True", "False", "Unknown"]),
  at: z.iso.datetime(),
  message: z.string(),
  /** Of the network. */
  probes: z.array(probeSchema),
  /** Of a class. */
  facts: z.array(factSchema).optional(),
});
export type Condition = z.infer<typeof conditionSchema>;
/** One machine has none: its sandboxes have no network device. */
export const conditionsSchema = z.object({ conditions: z.array(conditionSchema) }).meta({ id: "Conditions" });
