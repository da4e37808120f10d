// Cursors are opaque to clients: base64url of the last key seen. They carry no rights; every page is read as the caller's tenant.
import { PlatformError } from "../../contract/errors.ts";
import { MOST_INTEGER } from "../../contract/text.ts";

const toCursor = (key: string): string => Buffer.from(key).toString("base64url");

export function fromCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const key = Buffer.from(cursor, "base64url").toString("utf8");
  if (!/^[a-z0-9-]{1,64}$/.test(key)) throw notOurs();
  return key;
}
const notOurs = () => new PlatformError("BAD_REQUEST", "The cursor is not one that this API gave out.");

/** Reads the cursor of a list that is sorted by a number. */
export function numberCursor(cursor: string | undefined): number | undefined {
  const key = fromCursor(cursor);
  if (key === undefined) return undefined;
  if (!/^\d{1,10}$/.test(key) || Number(key) > MOST_INTEGER) throw notOurs();
  return Number(key);
}

/** One page of `rows`, which hold one more than `limit` if there is a next page. */
export function toPage<R, T>(
  rows: readonly R[],
  limit: number,
  keyOf: (row: R) => string,
  toItem: (row: R) => T,
): { items: T[]; nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown.map(toItem), nextCursor: rows.length > limit && last !== undefined ? toCursor(keyOf(last)) : null };
}
