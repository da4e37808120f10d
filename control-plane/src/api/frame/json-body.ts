// Checks JSON bodies of the API before any schema sees them: the number of values, the depth, and that all text can be stored. A schema
// reports a problem for each value, and a body of 125,000 wrong values would overflow its stack.
import { createMiddleware } from "hono/factory";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";
import { isStorable } from "../../contract/text.ts";
import type { ApiEnv } from "./context.ts";

export const plainJson = createMiddleware<ApiEnv>(async (c, next) => {
  if (/\bjson\b/i.test(c.req.header("content-type") ?? "")) checkValues(parse(await c.req.text()));
  await next();
});

function parse(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PlatformError("BAD_REQUEST", "The body is not JSON.", { cause: error });
  }
}

/** Throws BAD_REQUEST. It does not recurse, because the client chooses how deep the body is nested. */
function checkValues(body: unknown): void {
  const open: { value: unknown; depth: number }[] = [{ value: body, depth: 0 }];
  for (let values = 1; open.length > 0; values++) {
    const { value, depth } = open.pop()!;
    if (values > LIMITS.apiBodyValues) throw bad(`The body has more than ${LIMITS.apiBodyValues} values.`);
    if (depth > LIMITS.apiBodyDepth) throw bad(`The body is nested deeper than ${LIMITS.apiBodyDepth} levels.`);
    if (typeof value === "string" && !isStorable(value)) throw unstorable();
    if (typeof value !== "object" || value === null) continue;
    const members = Object.entries(value);
    if (members.length + open.length > LIMITS.apiBodyValues) throw bad(`The body has more than ${LIMITS.apiBodyValues} values.`);
    for (const [name, member] of members) {
      if (!isStorable(name)) throw unstorable();
      open.push({ value: member, depth: depth + 1 });
    }
  }
}

const bad = (message: string): PlatformError => new PlatformError("BAD_REQUEST", message);
const unstorable = (): PlatformError => bad("A text of the body holds a NUL character or half a surrogate pair.");
