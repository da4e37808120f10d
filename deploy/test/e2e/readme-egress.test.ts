// Follows README's section about what functions may reach, word for word, on a platform with the example servers that the section names. Only the
// platform's folder and port are replaced by this one's.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deployExample } from "../../single/src/examples.ts";
import { readSettings } from "../../single/src/settings.ts";
import { operatorTokenIn } from "../src/api-client.ts";
import { newPlatform, runUp, stop, type PlatformAccess, type UpResult } from "./platform.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const HEADING = "What your function can reach";
/** What may be asked again until it shows what the page shows: logs come when they come. */
const READS = /^fnctl (invoke [a-z-]+|logs|egress (log|ls|suggest))(?! --data)/;
let platform: PlatformAccess;
let started: UpResult;
let home: string;
let page: string;
beforeAll(async () => {
  page = await readFile(path.join(ROOT, "README.md"), "utf8");
  home = await mkdtemp(path.join(tmpdir(), "fnctl-reader-"));
  platform = await newPlatform("demo");
  started = await runUp(["--detach", "--no-examples", "--example-servers"], platform.env);
  if (started.code !== 0) throw new Error(`${started.stdout}\n${started.stderr}`);
});
afterAll(async () => {
  await stop(platform);
  await rm(platform.stateDir, { recursive: true, force: true });
  await rm(home, { recursive: true, force: true });
});

interface Block {
  language: string;
  text: string;
}
function blocksUnder(heading: string): Block[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = "", text = ""]) => ({ language, text }));
}

/** Runs commands as at one prompt: the folder is the one in which the last ones ended. */
let cwd = ROOT;
async function shell(script: string): Promise<string> {
  const alias = /^alias fnctl=.*$/m.exec(page)![0];
  const ours = [alias, script].join("\n").replaceAll("/var/lib/fnctl", platform.stateDir).replaceAll(":8080", `:${platform.port}`);
  const note = path.join(home, ".cwd");
  const env = {
    ...process.env,
    HOME: home,
    FNCTL_CONFIG: platform.config,
    NO_COLOR: "1",
    OPERATOR_TOKEN: operatorTokenIn(platform.stateDir),
  };
  const child = spawn("bash", ["-c", `shopt -s expand_aliases; set -euo pipefail\n${ours}\npwd > ${note}`], { cwd, env });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code, text).toBe(0);
  cwd = (await readFile(note, "utf8")).trim();
  return text;
}

/** The shown lines in their order, with anything between them, and anything for `…`. */
const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
const linePattern = (line: string) => line.split("…").map(escaped).join(".*");
const shows = (shown: string): RegExp => new RegExp(shown.trimEnd().split("\n").map(linePattern).join("\n(?:.*\n)*?"));

/** Puts a page's rules into the function's file in the place of those that it has. */
async function write(rules: string): Promise<void> {
  const file = path.join(cwd, "fnctl.yaml");
  const text = await readFile(file, "utf8");
  await writeFile(file, `${text.replace(/^egress:[^]*/m, "")}${rules}`);
}

test("`up` plays the outside for the examples that need one", async () => {
  const running = { settings: readSettings(platform.env), folders: { state: { app: path.join(platform.stateDir, "app") } } };
  const authority = await readFile(path.join(platform.stateDir, "example-servers/ca.pem"), "utf8");
  for (const name of ["orders-api", "weather-caller"])
    expect(await deployExample(running, name, authority)).toMatchObject({ outcome: expect.stringMatching(/^ok,/) as string });
  expect(started.stdout).toContain("Open to the functions of tenant demo, and to nobody else's.");
}, 300_000);

test("the section's commands do what it says", async () => {
  const blocks = blocksUnder(HEADING);
  expect(blocks.length).toBeGreaterThan(15);
  for (const [at, { language, text }] of blocks.entries()) {
    if (language === "yaml") await write(text);
    if (language !== "sh") continue;
    const printed = await shell(text);
    const next = blocks[at + 1];
    if (next?.language !== "") continue;
    const last = text.trim().split("\n").at(-1)!;
    if (shows(next.text).test(printed)) continue;
    expect(last, `${text}${printed}`).toMatch(READS);
    await expect.poll(async () => `${printed}${await shell(last)}`).toMatch(shows(next.text));
  }
}, 300_000);

test("the servers are not another tenant's to reach", async () => {
  const made = await shell(
    `curl -sX POST http://localhost:8080/v1/tenants -H "authorization: Bearer $OPERATOR_TOKEN" -H 'content-type: application/json' -d '{"slug":"other"}'`,
  );
  const { token } = JSON.parse(made) as { token: { secret: string } };
  const other = `export FNCTL_URL=http://localhost:8080 FNCTL_TOKEN=${token.secret}; cd ${ROOT}/examples/weather-caller`;
  await shell(`${other}; fnctl deploy`);
  expect(await shell(`${other}; fnctl invoke weather-caller`)).toContain("does not answer");
  await expect
    .poll(() => shell(`${other}; fnctl logs weather-caller`))
    .toContain("api.weather.test leads to an address that functions may not reach.");
});
