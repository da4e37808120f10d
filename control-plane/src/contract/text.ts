// Text that can be kept and passed on everywhere: in Postgres, in an environment variable, in a log line.
import { z } from "zod";

/**
 * Text without NUL and without half a surrogate pair: Postgres can store neither (SQLSTATE 22021, 22P05), nor can an environment hold them
 * (execve(2)).
 */
export const isStorable = (text: string): boolean => !text.includes("\0") && text.isWellFormed();

export const storableText = (most: number) => z.string().max(most).refine(isStorable, "holds a NUL character or half a surrogate pair");
/** Replaces characters that cannot be stored; for text from a source that cannot be asked to correct it. */
export const toStorable = (text: string): string => text.replaceAll("\0", "\ufffd").toWellFormed();
/** Applies `toStorable` to each text in a JSON value. */
export const storableJson = <T>(value: T): T =>
  JSON.parse(JSON.stringify(value), (_name, inner: unknown) => (typeof inner === "string" ? toStorable(inner) : inner)) as T;
/** The largest number that fits the database's `integer`. */
export const MOST_INTEGER = 2 ** 31 - 1;
