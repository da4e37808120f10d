// Each example is deployed with the CLI, built in a sandbox, and called.
import { createHmac, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { call } from "./api.ts";
import { examples, fnctl } from "./cli.ts";

const open = (name: string, at = "/", init: RequestInit = {}) =>
  call(name, at, { ...init, headers: { authorization: "", ...(init.headers as Record<string, string>) } });
const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

beforeAll(async () => {
  for (const name of readdirSync(examples)) {
    const result = await fnctl(["deploy"], { cwd: path.join(examples, name) });
    if (result.code !== 0) throw new Error(`${name}: ${result.stderr}`);
    if (!result.stdout.startsWith(`http://${name}--acme.localhost:`)) throw new Error(`${name}: no address in ${result.stdout}`);
  }
});

describe("Node examples", () => {
  test("hono-api keeps notes", async () => {
    expect((await open("hono-api", "/notes", post({ text: "buy milk" }))).status).toBe(201);
    expect(await (await open("hono-api", "/notes/2")).json()).toEqual({ id: 2, text: "buy milk" });
    expect((await open("hono-api", "/notes/99")).status).toBe(404);
  });

  test("express-app answers as it would anywhere", async () => {
    expect(await (await open("express-app", "/greet/Ada?x=1")).json()).toEqual({ greeting: "Hello, Ada", query: { x: "1" } });
    expect(await (await open("express-app", "/sum", post({ numbers: [1, 2, 3] }))).json()).toEqual({ sum: 6 });
  });

  test("thumbnailer scales a real image with a native addon", async () => {
    const sample = Buffer.from(await (await open("thumbnailer")).arrayBuffer());
    const answer = await open("thumbnailer", "/?width=32", { method: "POST", body: sample });
    expect(answer.headers.get("content-type")).toBe("image/webp");
    const thumbnail = Buffer.from(await answer.arrayBuffer());
    expect(thumbnail.toString("latin1", 8, 12)).toBe("WEBP");
    expect((await open("thumbnailer", "/", { method: "POST", body: "not an image" })).status).toBe(415);
  });

  test("sse-clock streams as it goes", async () => {
    const begun = performance.now();
    const answer = await open("sse-clock", "/?count=3&interval=400");
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    const arrivals: number[] = [];
    for await (const _chunk of answer.body!) arrivals.push(performance.now() - begun);
    expect(arrivals.length).toBeGreaterThanOrEqual(3); // chunks arrive one by one, not all at the end
    expect(arrivals.at(-1)! - arrivals[0]!).toBeGreaterThan(500);
  });

  test("upload-echo gives 20 MB back, byte for byte", async () => {
    const body = randomBytes(20 * 1024 * 1024);
    const answer = await open("upload-echo", "/", { method: "POST", body });
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
  });

  test("storefront calls another function, and passes on what it says", async () => {
    expect(await (await open("storefront")).json()).toEqual({ apples: 3 });
    // Without its database, orders-api answers that, and storefront passes it on: `readme-egress.test.ts` has the database.
    expect((await open("storefront", "/", post({ item: "apple", quantity: 1 }))).status).toBe(503);
  });

  test("webhook believes its sender only", async () => {
    const body = JSON.stringify({ type: "paid" });
    const signature = `sha256=${createHmac("sha256", "change-me").update(body).digest("hex")}`;
    const signed = (value: string) => open("webhook", "/", { method: "POST", body, headers: { "x-signature-256": value } });
    expect(await (await signed(signature)).json()).toEqual({ received: "paid" });
    expect((await signed(signature.replace(/.$/, "x"))).status).toBe(401);
  });
});

describe("Python examples", () => {
  test("fastapi-app validates and answers", async () => {
    const put = (value: unknown) => open("fastapi-app", "/items/pear", { ...post(value), method: "PUT" });
    expect((await put({ name: "pear", quantity: 5 })).status).toBe(200);
    expect((await put({ name: "pear", quantity: -1 })).status).toBe(422);
    expect(await (await open("fastapi-app", "/items/pear")).json()).toEqual({ name: "pear", quantity: 5 });
  });

  test("flask-app answers through WSGI", async () => {
    expect(await (await open("flask-app", "/reverse", post({ text: "gvisor" }))).json()).toEqual({ reversed: "rosivg" });
  });

  test("numpy-stats computes with native wheels", async () => {
    expect(await (await open("numpy-stats", "/", post([1, 2, 3, 4]))).json()).toMatchObject({ count: 4, mean: 2.5 });
    expect((await open("numpy-stats", "/", post([]))).status).toBe(400);
  });
});
