// Keeps the graph of rooms (top-level source folders) in ARCHITECTURE.md equal to the imports: `rooms.ts` compares it, `rooms.ts --write`
// rewrites it. Part of `npm run check`.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { z } from "zod";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const FILE = path.join(ROOT, "ARCHITECTURE.md");
const BLOCK = /(<!-- rooms: .*-->\n```\n)([^]*?)(```\n)/;
const FOLDERS = ["control-plane/src", "gateway/src/ingress"];

const cruiseSchema = z.object({
  modules: z.array(z.object({ source: z.string(), dependencies: z.array(z.object({ resolved: z.string() })) })),
});

/** Pairs `[room, room that it imports]`; imports of types count, imports in tests do not. */
export function edgesOf(cruise: unknown, folder: string): [string, string][] {
  const roomOf = (file: string) => (file.startsWith(`${folder}/`) ? /^([^/]+)\//.exec(file.slice(folder.length + 1))?.[1] : undefined);
  const isTest = (file: string) => /\.test\.ts$|\/testing\/|conformance[^/]*\.ts$/.test(file);
  return cruiseSchema.parse(cruise).modules.flatMap(({ source, dependencies }) => {
    const from = roomOf(source);
    if (from === undefined || isTest(source)) return [];
    return dependencies.flatMap(({ resolved }): [string, string][] => {
      const to = roomOf(resolved);
      return to === undefined || to === from ? [] : [[from, to]];
    });
  });
}

/** Lines `room → rooms below it`, from the top down; a room is named in the line of each that imports it. */
export function drawRooms(edges: readonly [string, string][]): string[] {
  const below = new Map<string, Set<string>>();
  for (const [from, to] of edges) {
    below.set(from, (below.get(from) ?? new Set()).add(to));
    if (!below.has(to)) below.set(to, new Set());
  }
  const height = new Map<string, number>();
  const heightOf = (room: string, above: readonly string[] = []): number => {
    if (above.includes(room)) throw new Error(`A ring: ${[...above, room].join(" → ")}`);
    const known = height.get(room) ?? Math.max(0, ...[...(below.get(room) ?? [])].map((next) => 1 + heightOf(next, [...above, room])));
    height.set(room, known);
    return known;
  };
  const order = [...below.keys()].toSorted((a, b) => heightOf(b) - heightOf(a) || a.localeCompare(b));
  const width = Math.max(...order.map((room) => room.length));
  return order.map((room) => {
    const named = order.filter((other) => below.get(room)?.has(other));
    return named.length === 0 ? room : `${room.padEnd(width)} → ${named.join(", ")}`;
  });
}

async function draw(): Promise<string> {
  const args = ["--config", ".dependency-cruiser.cjs", "--output-type", "json", "gateway/src", "control-plane/src"];
  const program = path.join(ROOT, "node_modules/.bin/depcruise");
  // depcruise exits with the number of violations; an earlier step of the check reports them.
  const { stdout } = await promisify(execFile)(program, args, { cwd: ROOT, maxBuffer: 2 ** 28 }).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? "",
  }));
  const cruise: unknown = JSON.parse(stdout);
  return FOLDERS.map((folder) => `${folder}/\n${drawRooms(edgesOf(cruise, folder)).join("\n")}\n`).join("\n");
}

if (process.argv[1] === import.meta.filename) {
  const text = await readFile(FILE, "utf8");
  const drawn = await draw();
  const [, , found] = BLOCK.exec(text) ?? [];
  if (found === undefined) throw new Error("ARCHITECTURE.md has no room graph.");
  if (process.argv.includes("--write"))
    await writeFile(
      FILE,
      text.replace(BLOCK, (_all, open, _old, close) => `${open}${drawn}${close}`),
    );
  else if (found !== drawn) {
    process.stderr.write(
      `The room graph of ARCHITECTURE.md is not what the imports say; write it anew: node deploy/test/src/rooms.ts --write\n`,
    );
    process.exitCode = 1;
  }
}
