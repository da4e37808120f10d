// A function calls another one of its tenant by name: private, without a token, and known by name to whom it calls.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, expect, test } from "vitest";
import { call } from "./api.ts";
import { fnctl } from "./cli.ts";
import { deployFixture } from "./fixture.ts";
import { createTenant } from "./tenants.ts";

const ask = async (name: string, query: Record<string, string>): Promise<string> =>
  (await call(name, `/?${new URLSearchParams(query).toString()}`)).text();
const FILE = "calls-others.js";
const egress = { allow: [{ function: "called" }, { function: "missing" }] };
beforeAll(async () => {
  await deployFixture("called", FILE);
  await deployFixture("caller", FILE, { egress });
  await deployFixture("caller-python", "reaches.py", { egress });
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
  const { slug, token } = await createTenant("calls-other");
  await deployFixture("called", FILE, {}, token);
  await deployFixture("other-caller", FILE, { egress }, token);
  const answer = await call("other-caller", "/?name=called", { headers: { authorization: `Bearer ${token}` } }, slug);
  expect(await answer.text()).toBe('200 {"by":"other-caller","token":null}');
});

test("a circle ends where functions pass the chain on", async () => {
  await deployFixture("circle", FILE, { egress: { allow: [{ function: "circle" }] } });
  const answer = await call("circle", "/circle");
  expect(answer.status).toBe(508);
  expect(await answer.json()).toMatchObject({
    code: "LOOP_DETECTED",
    detail: expect.stringContaining("circle > circle > circle") as string,
  });
});

/** A template whose commented call is made real, and leads to itself. */
async function deployCircle(name: string, template: string, main: string): Promise<void> {
  const cwd = await mkdtemp(path.join(tmpdir(), "fnctl-circle-"));
  await fnctl(["init", "--template", template, "--name", name], { cwd });
  const edit = async (file: string, change: (text: string) => string) => {
    const text = await readFile(path.join(cwd, file), "utf8");
    await writeFile(path.join(cwd, file), change(text));
  };
  const inComment = /^( *)(?:#|\/\/) ((?:from urllib|answer = urlopen|return fetch).*)$/gm;
  await edit(main, (text) => text.replace(inComment, "$1$2").replace("other.fn.internal", `${name}.fn.internal`));
  await edit("fnctl.yaml", (text) =>
    text.replaceAll(/^# (egress:| +allow:| +- \{)/gm, "$1").replace("function: other", `function: ${name}`),
  );
  const deployed = await fnctl(["deploy"], { cwd });
  expect(deployed, deployed.stderr).toMatchObject({ code: 0 });
  await rm(cwd, { recursive: true });
}

test.each([
  ["ts", "index.ts"],
  ["js", "index.js"],
])("the template %s passes the chain on", async (template, main) => {
  const name = `circle-${template}`;
  await deployCircle(name, template, main);
  const answer = await call(name, "/");
  expect(answer.status).toBe(508);
  expect(await answer.text()).toContain(`${name} > ${name} > ${name}`);
});

test("the template py passes the chain on", async () => {
  await deployCircle("circle-py", "py", "main.py");
  expect((await call("circle-py", "/")).status).toBe(500);
  await expect.poll(async () => (await fnctl(["logs", "circle-py"])).stdout).toContain("HTTP Error 508");
});
