// Functions that call each other, on one machine.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { callCases } from "../egress/call-cases.ts";
import { call } from "./api.ts";
import { fnctl } from "./cli.ts";
import { place } from "./place.ts";

callCases(() => place);

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
