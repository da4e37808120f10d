// Which file holds the handler when the owner does not say.
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildFailure } from "./build-failure.ts";

const NODE_EXTENSIONS = ["ts", "mts", "tsx", "js", "mjs", "cjs", "jsx"];
const NODE_STEMS = ["index", "src/index", "app", "src/app", "handler", "src/handler", "main", "src/main", "server", "src/server"];
const PYTHON_FILES = ["main.py", "app.py", "index.py", "handler.py", "src/main.py", "src/app.py", "src/index.py", "src/handler.py"];

const isFile = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

export function findNodeEntry(source: string, asked: string | undefined, packageMain: unknown): Promise<string> {
  const usual = NODE_STEMS.flatMap((stem) => NODE_EXTENSIONS.map((extension) => `${stem}.${extension}`));
  // `main` often names a compiled file that is not part of the source (dist/index.js): then the usual names are tried.
  const main = typeof packageMain === "string" && !packageMain.split("/").includes("..") ? [packageMain.replace(/^\.\//, "")] : [];
  return findEntry(source, asked, [...main, ...usual], "index.ts, index.js, src/index.ts");
}

export function findPythonEntry(source: string, asked: string | undefined): Promise<string> {
  return findEntry(source, asked, PYTHON_FILES, "main.py, app.py");
}

async function findEntry(source: string, asked: string | undefined, candidates: readonly string[], examples: string): Promise<string> {
  const tried = asked === undefined ? candidates : [asked];
  for (const candidate of tried) if (/\.\w+$/.test(candidate) && (await isFile(join(source, candidate)))) return candidate;
  if (asked !== undefined)
    throw new BuildFailure(
      `The file ${asked}, named by \`main\`, is not in the source.`,
      "Paths are relative to the folder of fnctl.yaml; look for an ignore file that leaves it out.",
    );
  throw new BuildFailure("No file with a handler was found.", `Name it with \`main:\` in fnctl.yaml, or call it one of ${examples}.`);
}

/** The user's package.json; an empty object when there is none. */
export async function readPackageJson(folder: string): Promise<Record<string, unknown>> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => "{}");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw new BuildFailure(`package.json is not valid JSON: ${(error as Error).message}`);
  }
  throw new BuildFailure("package.json does not hold an object.");
}
