// The API's own description, for anybody: built once, and told to have stayed the same to clients that have it (RFC 9110 section 13.1.2).
import type { MiddlewareHandler } from "hono";
import { sha256 } from "../../service/digest.ts";

/** `build` is called at the first request, when all routes are there. */
export function createDocument(build: () => unknown): MiddlewareHandler {
  let made: { text: string; etag: string } | undefined;
  return async (c) => {
    if (made === undefined) {
      const text = JSON.stringify(build());
      made = { text, etag: `"${sha256(Buffer.from(text))}"` };
    }
    c.header("etag", made.etag);
    c.header("cache-control", "no-cache"); // may be kept, and is asked about each time
    if (known(c.req.header("if-none-match"), made.etag)) return c.body(null, 304);
    return c.body(made.text, 200, { "content-type": "application/json" });
  };
}

const known = (header: string | undefined, etag: string): boolean =>
  header?.split(",").some((each) => ["*", etag].includes(each.trim().replace(/^W\//, ""))) === true;
