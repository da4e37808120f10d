// Which tokens may call which functions, and what a client learns from a refusal (SECURITY H6, E10).
import { beforeAll, describe, expect, test } from "vitest";
import { api, call, token } from "./api.ts";
import { fnctl } from "./cli.ts";
import { database } from "./database.ts";
import { deployFixture } from "./fixture.ts";
import { createTenant, statusFor, type Tenant } from "./tenants.ts";

let rival: Tenant;
const bearer = (secret: string): RequestInit => ({ headers: { authorization: `Bearer ${secret}` } });
const anonymous: RequestInit = { headers: { authorization: "" } };
type Told = { headers: Record<string, string>; env: Record<string, string> };

/** The answer's status, headers and body without those that differ for each request. */
async function shape(answer: Response): Promise<unknown> {
  const { requestId, ...body } = (await answer.json()) as Record<string, unknown>;
  expect(requestId).toBe(answer.headers.get("x-request-id"));
  const headers = [...answer.headers].filter(([name]) => name !== "date" && name !== "x-request-id");
  return { status: answer.status, headers, body };
}

beforeAll(async () => {
  rival = await createTenant("rival");
  await deployFixture("closed", "echo.js");
  await deployFixture("open", "echo.js", { access: "public" });
});

describe("a private function", () => {
  test("answers its tenant's token only", async () => {
    expect((await call("closed")).status).toBe(200);
    const refused = await call("closed", "/", anonymous);
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    expect(await shape(refused)).toMatchObject({ status: 401, body: { code: "UNAUTHENTICATED", hint: expect.stringContaining("Bearer") } });
  });

  test("is not told apart from one that does not exist: with another tenant's token, and without one", async () => {
    for (const init of [bearer(rival.token), anonymous]) {
      const own = await shape(await call("closed", "/", init));
      expect(own).toEqual(await shape(await call("no-such-function", "/", init)));
      expect(own).toEqual(await shape(await call("closed", "/", init, "no-such-tenant")));
    }
    expect((await call("closed", "/", bearer(rival.token))).status).toBe(404);
  });

  test("never sees the token of the platform", async () => {
    const { headers, env } = (await (await call("closed")).json()) as Told;
    expect(headers).not.toHaveProperty("authorization");
    expect(JSON.stringify({ headers, env })).not.toContain(token());
  });

  test.each([
    ["no scheme", () => token()],
    ["another scheme", () => `Basic ${token()}`],
    ["one character more", () => `Bearer ${token()}x`],
    ["one character less", () => `Bearer ${token().slice(0, -1)}`],
    ["other case", () => `Bearer ${token().toUpperCase()}`],
    ["two tokens", () => `Bearer ${token()} ${token()}`],
    ["a token in a list", () => `Bearer x, Bearer ${token()}`],
    ["an empty token", () => "Bearer fnctl_"],
    ["a long one", () => `Bearer fnctl_${"a".repeat(8000)}`],
  ])("refuses %s with 401, as the API does", async (_what, value) => {
    const headers = { authorization: value() };
    expect((await call("closed", "/", { headers })).status).toBe(401);
    expect((await api("GET", "/v1/whoami", { headers })).status).toBe(401);
  });

  test("takes the scheme in any case (RFC 9110 section 11.1)", async () => {
    expect((await call("closed", "/", { headers: { authorization: `bearer ${token()}` } })).status).toBe(200);
  });
});

describe("a public function", () => {
  test("answers everybody, and gets the client's own Authorization", async () => {
    for (const authorization of ["", "Basic dXNlcjpwYXNz", "Bearer its-own-token"]) {
      const answer = await call("open", "/", { headers: { authorization } });
      expect(answer.status).toBe(200);
      expect(((await answer.json()) as Told).headers["authorization"] ?? "").toBe(authorization);
    }
  });
});

describe("tokens", () => {
  test("are made, listed without their secret, and revoked by the CLI; then they open nothing", async () => {
    const made = await fnctl(["tokens", "create", "ci", "--scope", "invoke"]);
    expect(made.code).toBe(0);
    const secret = made.stdout.trim();
    expect(secret).toMatch(/^fnctl_/);
    await expect.poll(async () => (await call("closed", "/", bearer(secret))).status).toBe(200);

    const listed = await fnctl(["tokens", "ls", "--json"]);
    expect(listed.stdout).not.toContain(secret);
    const { items } = JSON.parse(listed.stdout) as { items: { id: string; name: string; scopes: string[] }[] };
    const own = items.find((item) => item.name === "ci")!;
    expect(own.scopes).toEqual(["invoke"]);

    expect((await fnctl(["tokens", "revoke", own.id, "--yes"])).code).toBe(0);
    await expect.poll(async () => (await call("closed", "/", bearer(secret))).status).toBe(401);
    expect((await api("GET", "/v1/functions", { token: secret })).status).toBe(401);
    expect((await fnctl(["tokens", "ls"])).stdout).not.toContain(own.id);
  });

  test("are not revoked without a yes when nobody can be asked", async () => {
    const { items } = (await (await api("GET", "/v1/tokens")).json()) as { items: { id: string }[] };
    const asked = await fnctl(["tokens", "revoke", items[0]!.id]);
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain("--yes");
    expect((await api("GET", "/v1/whoami")).status).toBe(200);
  });

  test("allow what their scope says and no more", async () => {
    const make = async (scope: string) => (await fnctl(["tokens", "create", scope, "--scope", scope])).stdout.trim();
    const [invoke, read] = [await make("invoke"), await make("read")];
    await expect.poll(() => statusFor(invoke)).toBe(404);
    await expect.poll(() => statusFor(read)).toBe(404);
    expect((await api("GET", "/v1/functions", { token: invoke })).status).toBe(403);
    expect((await api("GET", "/v1/functions", { token: read })).status).toBe(200);
    expect((await call("closed", "/", bearer(read))).status).toBe(403);
    expect((await api("DELETE", "/v1/functions/closed", { token: read })).status).toBe(403);
  });

  test("end at their time, at the gateway and at the API", async () => {
    const made = await fnctl(["tokens", "create", "short", "--expires-in", "1h", "--json"]);
    const { id, secret } = JSON.parse(made.stdout) as { id: string; secret: string };
    await expect.poll(() => statusFor(secret)).toBe(404);
    // The API gives no token that lives two seconds, so the test changes the row's expiry.
    await database(async (sql) => {
      await sql.query("UPDATE token SET expires_at = now() + interval '2 seconds' WHERE id = $1", [id]);
      await sql.query("SELECT pg_notify('fnctl_change', $1)", [JSON.stringify({ kind: "token", id })]);
    });
    expect(await statusFor(secret)).toBe(404); // the token has not expired yet
    await expect.poll(() => statusFor(secret), { timeout: 10_000 }).toBe(401);
    expect((await api("GET", "/v1/whoami", { token: secret })).status).toBe(401);
  });
});
