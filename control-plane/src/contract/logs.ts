// Log records, in the form that the log collector keeps and the API returns (`application/x-ndjson`).
import { z } from "zod";
import { requestIdSchema, uuidSchema } from "./names.ts";
import { MOST_INTEGER } from "./text.ts";

export const levelSchema = z.enum(["debug", "info", "warn", "error"]);
/**
 * `source` says who wrote the record: the function (`stdout`, `stderr`) or the platform about it (`platform`: crash, out of memory,
 * time-out, dropped lines). Tenant, function and version come from the channel, never from the text (SECURITY I3, D11).
 */
export const logRecordSchema = z
  .object({
    /** Milliseconds since the epoch, by the collector's clock. */
    at: z.number(),
    seq: z.int(),
    level: levelSchema,
    source: z.enum(["stdout", "stderr", "platform"]),
    version: z.int(),
    instance: z.string(),
    requestId: z.string().optional(),
    message: z.string(),
  })
  .meta({ id: "LogRecord" });
export type LogRecord = z.infer<typeof logRecordSchema>;

export const logQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(10_000).default(100),
  /** Only records at or after this time, milliseconds since the epoch. */
  since: z.coerce.number().optional(),
  requestId: requestIdSchema.optional(),
  version: z.coerce.number().int().positive().max(MOST_INTEGER).optional(),
  follow: z.enum(["true", "false"]).default("false"),
});
export type LogQuery = z.infer<typeof logQuerySchema>;

/**
 * The content of `meta.json` beside an instance's log pipes, which says which function they belong to. The driver writes it, the collector
 * reads it.
 */
export const logChannelSchema = z.object({ instance: z.string(), tenantId: uuidSchema, functionId: uuidSchema, version: z.int() });
export type LogChannel = z.infer<typeof logChannelSchema>;

/**
 * How a bootstrap marks a record on stdout or stderr: this byte (RS, as in RFC 7464), then one JSON object, then a line feed.
 * Lines that do not begin with it are kept as plain text.
 */
export const RECORD_MARK = "\u001e";
export const sandboxRecordSchema = z.object({ l: levelSchema.optional(), r: requestIdSchema.optional(), m: z.string() });
