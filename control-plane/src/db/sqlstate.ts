// Only this file knows SQLSTATE codes (PostgreSQL manual, appendix A), and the messages of `pg` errors that have no code.
import { DrizzleQueryError } from "drizzle-orm/errors";
import pg from "pg";
import { PlatformError } from "../contract/errors.ts";

/** The database undid the transaction and asks for another try. */
const UNDONE = /^(40001|40P01)$/;
/** The connection is gone or will be: shutdown (57P), connection exceptions (08), a transaction left idle (25P03). */
const CUT = /^(57P0[123]|08...|25P03)$/;
/** Out of resources (53), cancelled (57014), a lock that was not granted in time (55P03). */
const BUSY = /^(53...|57014|55P03)$/;
const NETWORK = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "EAI_AGAIN"]);
/** Messages of `pg` and `pg-pool` without a code, when a connection breaks or cannot be made. */
const BROKEN =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Client was closed)/;
/** The server did not answer at all: the statement may still be running, so it is not sent again and the connection is closed. */
const MUTE = /^Query read timeout/;
/** A value from the client cannot be stored although it passed all checks: a character (22021, 22P05), a number (22003), a time (22008). */
const UNSTORABLE: Record<string, string> = {
  "22021": "A text holds a character that cannot be stored.",
  "22P05": "A text holds a character that cannot be stored.",
  "22003": "A number is too large or too small.",
  "22008": "A time is too early or too late.",
};

type Kind = "undone" | "cut" | "mute" | "busy" | undefined;
interface Facts {
  code: string | undefined;
  kind: Kind;
}

function factsOf(error: unknown): Facts {
  for (let at: unknown = error; at instanceof Error && !(at instanceof PlatformError); at = at.cause) {
    const { code } = at as Error & { code?: unknown };
    if (typeof code === "string") return { code, kind: kindOf(code) };
    if (BROKEN.test(at.message)) return { code: undefined, kind: "cut" };
    if (MUTE.test(at.message)) return { code: undefined, kind: "mute" };
  }
  return { code: undefined, kind: undefined };
}

function kindOf(code: string): Kind {
  if (UNDONE.test(code)) return "undone";
  if (CUT.test(code) || NETWORK.has(code)) return "cut";
  return BUSY.test(code) ? "busy" : undefined;
}

/**
 * Whether trying again is safe: always when the database undid the transaction; after a lost connection only when nothing can have been
 * committed on it (`committing`: COMMIT was sent, and it is not known whether it arrived).
 */
export function isRetryable(error: unknown, committing: boolean): boolean {
  const { kind } = factsOf(error);
  return kind === "undone" || (kind === "cut" && !committing);
}
/** The connection cannot be used again. */
export const isCut = (error: unknown): boolean => ["cut", "mute"].includes(factsOf(error).kind ?? "");

/** The error that leaves this folder: it shows clients nothing of the database's inside and no log a value of a query. */
export function mapDatabaseError(error: unknown): unknown {
  if (error instanceof PlatformError) return error;
  const { code, kind } = factsOf(error);
  const cause = withoutValues(error);
  if (kind !== undefined)
    return new PlatformError("UNAVAILABLE", "The database does not answer in time.", { hint: "Try again in a moment.", cause });
  if (code === "23505") return new PlatformError("CONFLICT", "Something with this name exists already.", { cause });
  const unstorable = UNSTORABLE[code ?? ""];
  return unstorable === undefined ? cause : new PlatformError("BAD_REQUEST", unstorable, { cause });
}

/**
 * drizzle puts a query's parameters into its message, and Postgres puts values into its own, so a tenant's settings would reach a log. The
 * error made here still says where to look: the statement with its placeholders, and the names that Postgres gives.
 */
function withoutValues(error: unknown): unknown {
  if (!(error instanceof DrizzleQueryError) && !(error instanceof pg.DatabaseError)) return error;
  const inner = error instanceof DrizzleQueryError ? error.cause : error;
  const query = error instanceof DrizzleQueryError ? error.query : undefined;
  const { code, table, column, constraint } = inner instanceof pg.DatabaseError ? inner : {};
  const what = inner instanceof pg.DatabaseError ? `SQLSTATE ${code ?? "unknown"}` : (inner?.message ?? "unknown");
  const clean = new Error(`The database refused a statement: ${what}`);
  clean.stack = `${clean.name}: ${clean.message}\n${framesOf(error)}`;
  return Object.assign(clean, { code, table, column, constraint, query });
}

const framesOf = ({ stack = "" }: Error): string =>
  stack
    .split("\n")
    .filter((line) => /^ {4}at /.test(line))
    .join("\n");
