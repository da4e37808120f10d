// A function calls another one of its tenant by name: private, without a token, and known by name to whom it calls. For every driver.
import { beforeAll, expect, test } from "vitest";
import { deployFixtureTo, type Place } from "./place.ts";

export function callCases(place: () => Place): void {
  const ask = async (name: string, query: Record<string, string>): Promise<string> =>
    (await place().call(name, `/?${new URLSearchParams(query).toString()}`)).text();
  const FILE = "calls-others.js";
  const egress = { allow: [{ function: "called" }, { function: "missing" }] };
  beforeAll(async () => {
    await deployFixtureTo(place(), "called", FILE);
    await deployFixtureTo(place(), "caller", FILE, { egress });
    await deployFixtureTo(place(), "caller-python", "reaches.py", { egress });
  });

  test("the callee is private, and sees who called", async () => {
    expect(await ask("caller", { name: "called" })).toBe('200 {"by":"caller","token":null}');
    expect(await ask("caller-python", { by: "fetch", host: "called.fn.internal" })).toBe('{"by":"caller-python","token":null}');
  });

  test("a function that no rule names is not there, and one that does not exist is not found", async () => {
    expect(await ask("called", { name: "caller" })).toMatch(/^failed: /);
    expect(await ask("caller", { name: "caller-python" })).toBe("failed: ENOTFOUND");
    expect(await ask("caller", { name: "missing" })).toMatch(/^404 /);
  });

  test("another tenant's function of the name is another one", async () => {
    const { slug, token } = await place().newTenant("calls-other");
    await deployFixtureTo(place(), "called", FILE, {}, token);
    await deployFixtureTo(place(), "other-caller", FILE, { egress }, token);
    const answer = await place().call("other-caller", "/?name=called", { headers: { authorization: `Bearer ${token}` } }, slug);
    expect(await answer.text()).toBe('200 {"by":"other-caller","token":null}');
  });

  test("a circle ends where functions pass the chain on", async () => {
    await deployFixtureTo(place(), "circle", FILE, { egress: { allow: [{ function: "circle" }] } });
    const answer = await place().call("circle", "/circle");
    expect(answer.status).toBe(508);
    expect(await answer.json()).toMatchObject({
      code: "LOOP_DETECTED",
      detail: expect.stringContaining("circle > circle > circle") as string,
    });
  });
}
