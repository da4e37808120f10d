// When a function answers a request wrongly or not at all, the client learns only that it failed, and nothing of the function's inside.
import { expect, test } from "vitest";
import { call, eventually, records } from "./client.ts";
import type { Sandbox } from "./runsc.ts";

/** `failing` maps each path to the text that the log must have for it. */
export function failingCases(get: () => Sandbox, failing: Record<string, RegExp>): void {
  test.each(Object.entries(failing))("%s is a 500 that tells nothing; the log says why, under the request's id", async (path, log) => {
    const id = `failing${path.replaceAll("/", "-")}`;
    const reply = await call(get().socket, path, { headers: { "x-request-id": id } });
    expect(reply).toMatchObject({ status: 500, headers: { "content-type": "application/problem+json" } });
    expect(JSON.parse(reply.text)).toMatchObject({ code: "FUNCTION_ERROR", status: 500, requestId: id });
    expect(JSON.stringify([reply.headers, reply.text.replaceAll(id, "")])).not.toMatch(/inside|bad name|x-a/);
    const mine = await eventually(() => {
      const found = records(get()).filter((line) => line.r === id && line.l === "error");
      return found.length > 0 ? found : undefined;
    }, "the log");
    expect(mine.map((line) => line.m)).toEqual([expect.stringMatching(log)]);
    expect((await call(get().socket, "/")).status).toBe(200);
  });
}
