// Text that can be kept and passed on everywhere: in Postgres, in an environment variable, in a log line.
import { z } from "zod";

/** No NUL, and no half of a surrogate pair: neither can be stored (SQLSTATE 22021, 22P05), nor stand in an environment (execve(2)). */
export const isStorable = (text: string): boolean => !text.includes("\0") && text.isWellFormed();

export const storableText = (most: number) => z.string().max(most).refine(isStorable, "holds a NUL character or half a surrogate pair");
/** The same text without what cannot be stored; for what others wrote and nobody can be asked to mend. */
export const toStorable = (text: string): string => text.replaceAll("\0", "\ufffd").toWellFormed();
/** Of each text in a JSON value. */
export const storableJson = <T>(value: T): T =>
  JSON.parse(JSON.stringify(value), (_name, inner: unknown) => (typeof inner === "string" ? toStorable(inner) : inner)) as T;
/** Whole numbers that fit the database's `integer`. */
export const MOST_INTEGER = 2 ** 31 - 1;
