// The commands against a real HTTP server that speaks the API.
import { chmod, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createApiDouble, TOKEN, type ApiDouble } from "./testing/api-double.ts";
import { fnctl, folderWith, type RunOptions } from "./testing/run-cli.ts";

const PROJECT = { "fnctl.yaml": "name: hello\nruntime: node24\n", "index.js": "export default () => new Response('x')\n" };
let api: ApiDouble;
let cwd: string;
const run = (argv: string[], more: RunOptions = {}) =>
  fnctl(argv, { cwd, ...more, env: { FNCTL_URL: api.url, FNCTL_TOKEN: TOKEN, FNCTL_CONFIG: path.join(cwd, "none.yaml"), ...more.env } });
const lines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

beforeEach(async () => {
  api = await createApiDouble();
  cwd = await folderWith(PROJECT);
});
afterEach(() => api.close());

test("deploy: stdout is the address, stderr the phases; a second one uploads nothing", async () => {
  const first = await run(["deploy"]);
  expect(first).toMatchObject({ exitCode: 0, stdout: "http://hello--acme.example.com/\n" });
  for (const phase of ["validate", "upload", "build", "rollout", "ready"])
    expect(first.stderr).toMatch(new RegExp(`^✓ ${phase} .*\\d s$`, "m"));
  expect(first.stderr).toContain("hello v1  sha256:aaaaaaaaaaaa");
  expect(first.stderr).not.toContain("\u001b");
  const second = await run(["deploy"]);
  expect(second.stderr).toMatch(/^- upload +unchanged$/m);
  expect(api.seen.filter(({ method, path: at }) => method === "PUT" && at.startsWith("/v1/blobs"))).toHaveLength(1);
});

test("deploy says aloud that a function may reach every public address", async () => {
  expect((await run(["deploy"])).stderr).not.toContain("public address");
  const open = await folderWith({ ...PROJECT, "fnctl.yaml": `${PROJECT["fnctl.yaml"]}\negress: public\n` });
  for (const args of [["deploy"], ["deploy", "--dry-run"]])
    expect((await run(args, { cwd: open })).stderr).toMatch(/^ {2}it may reach every public address on ports 80 and 443;.*$/m);
});

test("egress allow and deny say so when the proxy has not got the rule yet", async () => {
  expect((await run(["egress", "allow", "a.example"])).stderr).toBe("allowed a.example for all functions\n");
  api.state.egressApplied = false;
  for (const action of ["allow", "deny"])
    expect((await run(["egress", action, "a.example"])).stderr).toContain(
      "\n  kept, but not in force yet: the egress proxy is away or late.",
    );
});

test.each([
  ["a.example:80", "a.example"],
  ["[2001:DB8::1]:80", "'[2001:db8::1]'"],
  ["10.1.0.0/16:80", "10.1.0.0/16"],
])("a rule for %s that a refusal goes before is told the command that lifts that", async (rule, lifted) => {
  api.state.egressDenied = true;
  expect((await run(["egress", "allow", rule.toLowerCase()])).stderr).toContain(`next:    fnctl egress rm ${lifted}\n`);
});

test("deploy --json: one event a line, the result last", async () => {
  const { stdout, stderr } = await run(["deploy", "--json"]);
  const events = lines(stdout);
  expect(events.map((event) => event["type"])).toContain("log");
  expect(events.at(-1)).toMatchObject({
    type: "result",
    function: "hello",
    version: 1,
    url: "http://hello--acme.example.com/",
    live: true,
  });
  expect(stderr).toBe("");
});

test("a spinner on a terminal only, none in CI, no colour with NO_COLOR, and no signal handler left behind", async () => {
  const before = process.listenerCount("SIGINT");
  const shown = await run(["deploy"], { terminal: true });
  expect(shown.stderr).toMatch(/\r\u001b\[2K\u001b\[36m\S\u001b\[39m build/);
  expect(shown.stderr.endsWith("in all\n")).toBe(true);
  const plain = await run(["deploy"], { terminal: true, env: { NO_COLOR: "1" } });
  expect(plain.stderr).toMatch(/\r\u001b\[2K\S build/);
  expect(plain.stderr).not.toMatch(/\u001b\[\d+m/);
  expect((await run(["deploy"], { terminal: true, env: { CI: "true" } })).stderr).not.toContain("\r");
  expect(process.listenerCount("SIGINT")).toBe(before);
});

test("deploy goes on after the event stream broke, and shows no event twice", async () => {
  api.state.cutStreams = 2;
  const { exitCode, stdout } = await run(["deploy", "--json"]);
  expect(exitCode).toBe(0);
  expect(lines(stdout).filter((event) => event["type"] === "log")).toHaveLength(1);
});

test("a failed build: exit 6, the build's own output, code, next command, request id", async () => {
  api.state.outcome = { problem: new PlatformError("BUILD_FAILED", "index.js:1:3: Expected ;") };
  const { exitCode, stdout, stderr } = await run(["deploy"]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 6, stdout: "" });
  expect(stderr).toContain("│ added 3 packages\\x1b[2J");
  expect(stderr).toMatch(/✗ build\nerror BUILD_FAILED: index\.js:1:3: Expected ;\n {2}next: .*\n {2}request: req-build-0001\n$/);
});

test("a version that does not load: exit 7 and the user's stack", async () => {
  api.state.outcome = {
    problem: new PlatformError("INIT_FAILED", "TypeError: x", { facts: { stack: "TypeError: x\n    at index.js:1:1" } }),
  };
  const { exitCode, stderr } = await run(["deploy"]);
  expect(exitCode).toBe(7);
  expect(stderr).toContain("        at index.js:1:1\n");
  expect(stderr).toContain("✗ rollout");
});

test("--wait-timeout ends the waiting with 7, Ctrl-C with 130", async () => {
  api.state.hold = true;
  const late = await run(["deploy", "--wait-timeout", "300ms"]);
  expect(late.exitCode).toBe(7);
  expect(late.stderr).toContain("The build of v1 goes on.");
  const interrupt = new AbortController();
  const running = run(["deploy"], { signal: interrupt.signal });
  while (api.versions.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  interrupt.abort();
  expect((await running).exitCode).toBe(130);
});

test("--detach does not wait; --dry-run sends nothing", async () => {
  api.state.hold = true;
  expect(await run(["deploy", "--detach"])).toMatchObject({ exitCode: 0, stdout: "http://hello--acme.example.com/\n" });
  const before = api.seen.length;
  const dry = await run(["deploy", "--dry-run", "--json"]);
  expect(lines(dry.stdout).at(-1)).toMatchObject({ type: "plan", function: "hello", files: ["index.js"] });
  expect(api.seen).toHaveLength(before);
});

test("invoke streams the body; --fail leaves with 8; headers, method and path arrive", async () => {
  await run(["deploy"]);
  expect(await run(["invoke", "hello", "--path", "/a%20b?c=1", "-d", '{"k":1}', "-H", "X-Own: 7"])).toMatchObject({
    exitCode: 0,
    stdout: 'POST /fn/acme/hello/a%20b?c=1 {"k":1}',
  });
  expect(api.seen.at(-1)?.headers).toMatchObject({ "x-own": "7", "content-type": "application/json", "content-length": "7" });
  expect(await run(["invoke", "--data-file", "-"], { stdin: "from stdin" })).toMatchObject({ stdout: "POST /fn/acme/hello/ from stdin" });
  expect(await run(["invoke", "--data-file", path.join(cwd, "index.js"), "-X", "PUT"])).toMatchObject({
    stdout: `PUT /fn/acme/hello/ ${PROJECT["index.js"]}`,
  });
  const failed = await run(["invoke", "--path", "?status=500", "--fail"]);
  expect(failed).toMatchObject({ exitCode: 8, stdout: "GET /fn/acme/hello/?status=500 " });
  expect(failed.stderr).toMatch(/next: +fnctl logs hello --request-id \S+/);
  expect((await run(["invoke", "--path", "?status=500", "-v"])).stderr).toMatch(/^HTTP 500 /);
  expect(lines((await run(["invoke", "--json"])).stdout)[0]).toMatchObject({ status: 200, body: "GET /fn/acme/hello/ " });
});

test("versions, rollback to the previous one, describe, ls, rm", async () => {
  await run(["deploy"]);
  await run(["deploy"]);
  expect(api.state.live).toBe(2);
  const dry = await run(["rollback", "--dry-run"]);
  expect(dry.stderr).toContain("hello would go from v2 to v1");
  expect((await run(["rollback"])).stderr).toContain("hello serves v1 now (was v2)");
  expect(api.state.live).toBe(1);
  await run(["rollback", "2"]);
  expect(api.state.live).toBe(2);
  expect((await run(["rollback", "hello", "x"])).exitCode).toBe(2);
  expect((await run(["versions"])).stdout).toMatch(/^v2 +ready +live /m);
  expect((await run(["describe"])).stdout).toMatch(/^limits +256MB, timeout 30s/m);
  expect(lines((await run(["ls", "--json"])).stdout)[0]).toMatchObject({ items: [{ name: "hello" }] });
  const refused = await run(["rm", "hello"]);
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr).toContain("--yes");
  expect((await run(["rm", "hello", "--yes"])).exitCode).toBe(0);
  expect((await run(["describe", "hello"])).exitCode).toBe(4);
});

test("logs: text is made safe, --json is the record, filters reach the platform", async () => {
  await run(["deploy"]);
  api.state.logs = [
    {
      at: Date.parse("2026-11-23T10:00:00Z"),
      seq: 1,
      level: "error",
      source: "stderr",
      version: 1,
      instance: "i1",
      requestId: "abcdefgh-1",
      message: "bad \u001b]0;x\u0007\u2028\nsecond",
    },
  ];
  const text = await run(["logs", "--request-id", "abcdefgh-1", "--since", "2026-11-23T00:00:00Z", "--version", "1", "--limit", "5"]);
  expect(text.stdout).toBe("2026-11-23T10:00:00.000Z v1 abcdefgh error bad \\x1b]0;x\\x07\\u2028\n    second\n");
  expect(api.seen.at(-1)?.path).toBe(
    `/v1/functions/hello/logs?limit=5&requestId=abcdefgh-1&since=${Date.parse("2026-11-23T00:00:00Z")}&version=1`,
  );
  expect(lines((await run(["logs", "--json"])).stdout)).toEqual(api.state.logs);
  expect((await run(["logs", "--since", "yesterdayish"])).exitCode).toBe(2);
});

test("logs -f goes on after the stream ended and prints nothing twice", async () => {
  await run(["deploy"]);
  const record = { at: 1, seq: 1, level: "info" as const, source: "stdout" as const, version: 1, instance: "i1", message: "one" };
  api.state.logs = [record];
  const interrupt = new AbortController();
  const running = run(["logs", "-f", "--json"], { signal: interrupt.signal });
  const reads = () => api.seen.filter(({ path: at }) => at.includes("/logs")).length;
  const until = async (count: number) => {
    while (reads() < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await until(1);
  api.state.logs = [record, { ...record, seq: 2, message: "two" }];
  await until(3);
  interrupt.abort();
  const { exitCode, stdout } = await running;
  expect(exitCode).toBe(130);
  expect(lines(stdout).map((line) => line["message"])).toEqual(["one", "two"]);
});

test("login checks the token and stores it for its owner alone; logout forgets it", async () => {
  const config = path.join(cwd, "conf", "config.yaml");
  const env = { FNCTL_CONFIG: config, FNCTL_URL: "", FNCTL_TOKEN: "" };
  const bad = await run(["login", "--token-stdin", "--url", api.url], { env, stdin: "fnctl_wrong_one\n" });
  expect(bad.exitCode).toBe(3);
  await expect(stat(config)).rejects.toThrow();
  expect((await run(["login", "--token-stdin", "--url", `${api.url}/`], { env, stdin: `${TOKEN}\n` })).stderr).toContain(
    "as acme; context local",
  );
  expect((await stat(config)).mode & 0o777).toBe(0o600);
  expect((await run(["whoami", "--json"], { env })).stdout).toContain('"context":"local"');
  await chmod(config, 0o644);
  const open = await run(["whoami"], { env });
  expect(open.exitCode).toBe(2);
  expect(open.stderr).toContain(`chmod 600 ${config}`);
  expect((await run(["doctor"], { env })).stdout).toContain(`next: chmod 600 ${config}`);
  await chmod(config, 0o600);
  expect((await run(["logout"], { env })).exitCode).toBe(0);
  expect(await readFile(config, "utf8")).not.toContain(TOKEN);
  expect((await run(["whoami"], { env })).exitCode).toBe(3);
});

test("a context's token never goes to another address", async () => {
  const other = await createApiDouble();
  const config = path.join(cwd, "c.yaml");
  const env = { FNCTL_CONFIG: config, FNCTL_URL: "", FNCTL_TOKEN: "" };
  await run(["login", "--token-stdin", "--url", api.url], { env, stdin: TOKEN });
  const answer = await run(["whoami", "--url", other.url], { env });
  expect(answer.exitCode).toBe(3);
  expect(other.seen).toHaveLength(0);
  await other.close();
});

test("init: three templates that are valid projects; nothing is overwritten", async () => {
  for (const template of ["ts", "js", "py"]) {
    expect((await run(["init", `My ${template} App`, "-t", template])).exitCode).toBe(0);
    const folder = path.join(cwd, `My ${template} App`);
    expect(await readFile(path.join(folder, "fnctl.yaml"), "utf8")).toContain(
      `# yaml-language-server: $schema=.fnctl/fnctl.schema.json\nname: my-${template}-app\n`,
    );
    expect((await run(["deploy", "--dry-run"], { cwd: folder })).exitCode).toBe(0);
    expect((await run(["init"], { cwd: folder })).exitCode).toBe(2);
  }
});

test("usage: the nearest command and option, and a document for programs", async () => {
  const command = await run(["deploi"]);
  expect(command).toMatchObject({ exitCode: 2, stdout: "" });
  expect(command.stderr).toContain("did you mean deploy?\n  next:    fnctl deploy\n");
  expect((await run(["logs", "--folow"])).stderr).toContain("did you mean --follow?");
  expect((await run(["rm"])).exitCode).toBe(2);
  expect(lines((await run(["describe", "nope", "--json"])).stdout)[0]).toMatchObject({ type: "error", code: "NOT_FOUND", exitCode: 4 });
  expect(await run(["--help"])).toMatchObject({ exitCode: 0, stderr: "" });
  expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("doctor: all in order, a wrong clock, a broken fnctl.yaml, no platform", async () => {
  expect((await run(["doctor"])).exitCode).toBe(0);
  api.state.skewMs = -3_600_000;
  expect((await run(["doctor"])).stdout).toMatch(/✗ clock +.*differ by 3\d\d\d s/);
  api.state.skewMs = 0;
  const broken = await run(["doctor"], { cwd: await folderWith({ "fnctl.yaml": "name: hello\n" }) });
  expect(broken).toMatchObject({ exitCode: 2, stdout: expect.stringContaining("fnctl.yaml:1:1 runtime is missing") as string });
  await api.close();
  const away = await run(["doctor"]);
  expect(away.exitCode).toBe(1);
  expect(away.stdout).toMatch(/✗ platform .*does not answer/);
  api = await createApiDouble();
});
