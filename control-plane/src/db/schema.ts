// The tables as drizzle sees them. They are defined in migrations/sql; a test compares the two.
import { bigint, boolean, customType, date, integer, jsonb, pgSchema, primaryKey, text, timestamp, uuid } from "drizzle-orm/pg-core";
import type { FunctionConfig } from "../contract/config.ts";
import type { PrivateRange } from "../contract/egress-rules.ts";
import type { Problem } from "../contract/errors.ts";
import type { BuildEvent, Scope } from "../contract/resources.ts";

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const time = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
const fnctl = pgSchema("fnctl");

export const tenant = fnctl.table("tenant", {
  id: uuid("id").primaryKey(),
  slug: text("slug").notNull(),
  risk: text("risk").$type<"standard" | "elevated">().notNull().default("standard"),
  createdAt: time("created_at").notNull().defaultNow(),
});

export const token = fnctl.table(
  "token",
  {
    id: uuid("id").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    name: text("name").notNull(),
    prefix: text("prefix").notNull(),
    hash: bytea("hash").notNull(),
    scopes: text("scopes").array().$type<Scope[]>().notNull(),
    createdAt: time("created_at").notNull().defaultNow(),
    expiresAt: time("expires_at"),
    revokedAt: time("revoked_at"),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
);

export const operatorToken = fnctl.table("operator_token", {
  id: uuid("id").primaryKey(),
  name: text("name").notNull(),
  prefix: text("prefix").notNull(),
  hash: bytea("hash").notNull(),
  createdAt: time("created_at").notNull().defaultNow(),
  expiresAt: time("expires_at"),
  revokedAt: time("revoked_at"),
});

export const fn = fnctl.table(
  "function",
  {
    id: uuid("id").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    name: text("name").notNull(),
    runtime: text("runtime").$type<FunctionConfig["runtime"]>().notNull(),
    revision: integer("revision").notNull().default(1),
    nextVersion: integer("next_version").notNull().default(1),
    createdAt: time("created_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
);

export const blob = fnctl.table(
  "blob",
  {
    tenantId: uuid("tenant_id").notNull(),
    digest: text("digest").notNull(),
    size: bigint("size", { mode: "number" }).notNull(),
    createdAt: time("created_at").notNull().defaultNow(),
    seenAt: time("seen_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.digest] })],
);
export const blobChunk = fnctl.table(
  "blob_chunk",
  {
    tenantId: uuid("tenant_id").notNull(),
    digest: text("digest").notNull(),
    index: integer("index").notNull(),
    data: bytea("data").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.digest, table.index] })],
);

export const version = fnctl.table(
  "version",
  {
    id: uuid("id").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    functionId: uuid("function_id").notNull(),
    number: integer("number").notNull(),
    state: text("state").$type<"building" | "ready" | "failed" | "superseded">().notNull().default("building"),
    config: jsonb("config").$type<FunctionConfig>().notNull(),
    sourceDigest: text("source_digest").notNull(),
    imageDigest: text("image_digest"),
    imageBytes: bigint("image_bytes", { mode: "number" }),
    layerDiffId: text("layer_diff_id"),
    layerBytes: bigint("layer_bytes", { mode: "number" }),
    baseDigest: text("base_digest"),
    entry: jsonb("entry").$type<{ file: string; name?: string | undefined }>(),
    createdAt: time("created_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
);

export const alias = fnctl.table(
  "alias",
  {
    tenantId: uuid("tenant_id").notNull(),
    functionId: uuid("function_id").notNull(),
    name: text("name").notNull(),
    versionId: uuid("version_id").notNull(),
    decided: integer("decided").notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.functionId, table.name] })],
);

export const build = fnctl.table(
  "build",
  {
    id: uuid("id").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    versionId: uuid("version_id").notNull(),
    state: text("state").$type<"queued" | "running" | "succeeded" | "failed" | "superseded">().notNull().default("queued"),
    epoch: integer("epoch").notNull().default(0),
    takeovers: integer("takeovers").notNull().default(0),
    requestId: text("request_id"),
    promote: boolean("promote").notNull(),
    problem: jsonb("problem").$type<Problem>(),
    createdAt: time("created_at").notNull().defaultNow(),
    startedAt: time("started_at"),
    takenAt: time("taken_at"),
    retryAt: time("retry_at"),
    endedAt: time("ended_at"),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
);
export const buildEvent = fnctl.table(
  "build_event",
  {
    tenantId: uuid("tenant_id").notNull(),
    buildId: uuid("build_id").notNull(),
    seq: integer("seq").notNull(),
    event: jsonb("event").$type<BuildEvent>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.buildId, table.seq] })],
);

export const instanceFailure = fnctl.table(
  "instance_failure",
  {
    tenantId: uuid("tenant_id").notNull(),
    functionId: uuid("function_id").notNull(),
    at: time("at").notNull(),
    reason: text("reason").notNull(),
    detail: text("detail").notNull(),
    version: integer("version").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.functionId] })],
);

export const egressRule = fnctl.table(
  "egress_rule",
  {
    tenantId: uuid("tenant_id").notNull(),
    id: uuid("id").notNull(),
    functionId: uuid("function_id"),
    action: text("action").$type<"allow" | "deny">().notNull(),
    host: text("host").notNull(),
    ports: integer("ports").array().notNull(),
    createdAt: time("created_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
);

export const egressCeiling = fnctl.table("egress_ceiling", {
  tenantId: uuid("tenant_id").primaryKey(),
  private: jsonb("private").$type<PrivateRange[]>().notNull(),
});

export const egressUsage = fnctl.table(
  "egress_usage",
  {
    tenantId: uuid("tenant_id").notNull(),
    day: date("day").notNull(),
    functionId: uuid("function_id").notNull(),
    proxy: text("proxy").notNull(),
    connections: bigint("connections", { mode: "number" }).notNull(),
    bytesUp: bigint("bytes_up", { mode: "number" }).notNull(),
    bytesDown: bigint("bytes_down", { mode: "number" }).notNull(),
    openMs: bigint("open_ms", { mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.day, table.functionId, table.proxy] })],
);

export const egressRecord = fnctl.table(
  "egress_record",
  {
    tenantId: uuid("tenant_id").notNull(),
    id: uuid("id").notNull(),
    functionId: uuid("function_id").notNull(),
    version: integer("version").notNull(),
    instance: text("instance").notNull(),
    at: time("at").notNull(),
    target: text("target").notNull(),
    address: text("address").notNull(),
    bytesUp: bigint("bytes_up", { mode: "number" }).notNull(),
    bytesDown: bigint("bytes_down", { mode: "number" }).notNull(),
    durationMs: bigint("duration_ms", { mode: "number" }).notNull(),
    outcome: text("outcome").notNull(),
    notLogged: integer("not_logged").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
);

export const idempotency = fnctl.table(
  "idempotency",
  {
    tenantId: uuid("tenant_id").notNull(),
    key: text("key").notNull(),
    requestHash: text("request_hash").notNull(),
    status: integer("status").notNull(),
    body: jsonb("body").notNull(),
    createdAt: time("created_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.key] })],
);
