// `npm run up`: prepares, starts, shows what to try, stays until Ctrl-C, then drains. `-- --detach` leaves it running until `npm run down`.
// `-- --example-servers` also starts a Postgres and an HTTPS API for the examples that need them.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { deployExamples } from "./examples.ts";
import { openExampleServers } from "./example-servers/open.ts";
import { startExampleServers, withExampleServers } from "./example-servers/start.ts";
import { ensureFirstTenant, forgetSecrets } from "./first-tenant.ts";
import { sockets } from "./parts.ts";
import { prepare, startPlatform } from "./platform.ts";
import { createProgress } from "./progress.ts";
import { readSettings, type Settings } from "./settings.ts";
import { refuseTakenPort } from "./port.ts";
import { summary } from "./summary.ts";

const say = (line: string) => void process.stderr.write(`${line}\n`);
const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** The pid file may be left from before the machine was switched off, so its number may be another process's by now. */
async function runningPid(settings: Settings): Promise<number | undefined> {
  const pid = Number(await readFile(path.join(settings.runDir, "supervisor.pid"), "utf8").catch(() => "0"));
  if (!(pid > 0 && alive(pid))) return undefined;
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes(import.meta.filename) ? pid : undefined;
}

interface Wanted {
  examples: boolean;
  exampleServers: boolean;
}

async function foreground(given: Settings, { examples, exampleServers }: Wanted): Promise<void> {
  const settings = exampleServers ? withExampleServers(given) : given;
  const begun = performance.now();
  const running = await runningPid(settings);
  if (running !== undefined)
    throw new Error(`A platform runs already with this state folder (process ${running}). End it with: npm run down`);
  await refuseTakenPort(settings.listen);
  const progress = createProgress(process.stderr);
  const prepared = await prepare(settings, progress);
  const pidFile = path.join(settings.runDir, "supervisor.pid");
  await rm(path.join(settings.runDir, "ready"), { force: true }); // may be left by a supervisor that was killed
  await writeFile(pidFile, String(process.pid));
  const platform = await startPlatform(prepared, progress, say);
  const end = endOnce(async () => {
    say("draining …");
    await platform.stop();
    await rm(pidFile, { force: true });
    await rm(path.join(settings.runDir, "ready"), { force: true });
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, end);
  try {
    const socket = sockets(prepared.folders);
    const first = await ensureFirstTenant(settings, socket.control, prepared.folders.secret);
    const authority = exampleServers
      ? await progress.step("example servers", () => startExampleServers(prepared, platform.supervisor))
      : undefined;
    if (exampleServers && first !== undefined) await openExampleServers(socket.api, first);
    const results = examples ? await deployExamples(prepared, progress, authority) : [];
    await writeFile(path.join(settings.runDir, "ready"), "");
    process.stdout.write(
      summary({
        settings,
        first,
        results,
        exampleServers,
        seconds: (performance.now() - begun) / 1000,
        cli: path.join(prepared.folders.state.app, "fnctl.mjs"),
      }),
    );
    await forgetSecrets(settings);
  } catch (error) {
    await platform.stop();
    throw error;
  }
}

function endOnce(work: () => Promise<void>): () => void {
  let ending = false;
  return () => {
    if (ending) return;
    ending = true;
    work().then(
      () => process.exit(0),
      (error: unknown) => {
        say(String(error));
        process.exit(1);
      },
    );
  };
}

/** Runs the supervisor in a separate process; this one waits until it is ready and prints its output. */
async function detached(settings: Settings, args: string[]): Promise<void> {
  mkdirSync(settings.stateDir, { recursive: true, mode: 0o711 });
  const logFile = path.join(settings.stateDir, "up.log");
  await writeFile(logFile, "", { mode: 0o600 }); // the file holds the first tokens
  await chmod(logFile, 0o600);
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, [import.meta.filename, ...args], { detached: true, stdio: ["ignore", log, log] });
  child.unref();
  const ended = new Promise<number>((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
  const ready = path.join(settings.runDir, "ready");
  let shown = 0;
  const show = async () => {
    const text = await readFile(logFile, "utf8");
    process.stdout.write(text.slice(shown));
    shown = text.length;
  };
  for (;;) {
    const code = await Promise.race([ended, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 200))]);
    const isReady = existsSync(ready) && (await runningPid(settings)) === child.pid;
    await show();
    if (code !== undefined) process.exit(code);
    if (isReady) break;
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  await show();
  say(`It goes on in the background (log: ${logFile}). End it with: npm run down`);
  process.exit(0);
}

async function down(settings: Settings): Promise<void> {
  const pid = await runningPid(settings);
  if (pid === undefined) return say("No platform runs with this state folder.");
  process.kill(pid, "SIGTERM");
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 50));
  say("The platform is down. Its state stays in the state folder.");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      detach: { type: "boolean" },
      down: { type: "boolean" },
      "no-examples": { type: "boolean" },
      "example-servers": { type: "boolean" },
    },
  });
  const settings = readSettings(process.env);
  if (process.getuid?.() !== 0)
    throw new Error("The single-machine mode needs root: it starts sandboxes and gives each part a user of its own.");
  if (values.down === true) return down(settings);
  const passedOn = (["no-examples", "example-servers"] as const).filter((name) => values[name] === true);
  if (values.detach === true)
    return detached(
      settings,
      passedOn.map((name) => `--${name}`),
    );
  return foreground(settings, { examples: values["no-examples"] !== true, exampleServers: values["example-servers"] === true });
}

main().catch((error: unknown) => {
  const cause = error instanceof Error && error.cause instanceof Error ? `\n  because: ${error.cause.message}` : "";
  say(`fnctl: ${error instanceof Error ? error.message : String(error)}${cause}`);
  process.exit(1);
});
