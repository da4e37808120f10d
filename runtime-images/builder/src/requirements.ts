// All that a requirements file asks for, with the files it names read in: what uv is told then stands in files of ours alone.
import { readFile, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { BuildFailure } from "./build-failure.ts";
import { parseRequirementLine, refuseAt, type Place, type RequirementLine } from "./requirement-line.ts";
import { shown } from "./requirement-place.ts";

/** Files that one may name, itself among them, and the bytes of all. */
export const MOST_FILES = 50;
export const MOST_BYTES = 8 * 1024 * 1024;

export interface LocalFolder {
  /** Relative to the project; `.` is the project itself. */
  path: string;
  extras: readonly string[];
  from: Place;
}
export interface Requirements {
  packages: { name: string; text: string }[];
  constraints: string[];
  folders: LocalFolder[];
  /** Every package must come with a hash. */
  hashed: boolean;
}
type Of = "requirements" | "constraints";

/** `text`: of the first file, whose name is only for messages and as the place that other files are looked for from. */
export async function readRequirements(source: string, name: string, text: string, numbered = true): Promise<Requirements> {
  const found: Requirements = { packages: [], constraints: [], folders: [], hashed: false };
  const read = new Set([`requirements ${name}`]);
  let bytes = Buffer.byteLength(text);
  if (bytes > MOST_BYTES) tooMuch();

  const take = async (file: string, content: string, of: Of): Promise<void> => {
    for (const { text: line, line: number } of logicalLines(content)) {
      const place = numbered ? { file, line: number } : { file };
      const parsed = parseRequirementLine(line, place);
      if (parsed.kind === "file") await follow(file, parsed, of === "constraints" ? of : parsed.of, place);
      else if (of === "requirements") await addRequirement(source, found, parsed, place);
      else if (parsed.kind === "package") found.constraints.push(parsed.text);
      else if (parsed.kind !== "nothing") refuseAt(place)("a constraint says which versions of a package are meant, and nothing else.");
    }
  };
  const follow = async (from: string, { path }: { path: string }, of: Of, place: Place): Promise<void> => {
    const file = inProject(posix.dirname(from), path, place);
    const key = `${of} ${file}`;
    if (read.has(key)) return;
    read.add(key);
    if (read.size > MOST_FILES) refuseAt(place)(`more than ${MOST_FILES} files are named.`);
    const facts = await stat(join(source, file)).catch(() => undefined);
    if (facts?.isFile() !== true) return refuseAt(place)(`the file ${shown(path)} is not in the source.`);
    bytes += facts.size;
    if (bytes > MOST_BYTES) tooMuch();
    await take(file, await readUtf8(join(source, file), file), of);
  };
  await take(name, text, "requirements");
  return found;
}

/** What the project itself must hold is looked for. */
export async function addRequirement(source: string, found: Requirements, line: RequirementLine, place: Place): Promise<void> {
  if (line.kind === "package") found.packages.push({ name: line.name, text: line.text });
  if (line.kind === "wheel") {
    const file = join(source, inProject(".", line.path, place));
    if ((await stat(file).catch(() => undefined))?.isFile() !== true) refuseAt(place)(`the file ${shown(line.path)} is not in the source.`);
    found.packages.push({ name: line.head, text: `${line.head} @ ${pathToFileURL(file).href}${line.tail}` });
  }
  if (line.kind === "folder") {
    const path = inProject(".", line.path, place);
    if ((await stat(join(source, path)).catch(() => undefined))?.isDirectory() !== true)
      refuseAt(place)(`the folder ${shown(line.path)} is not in the source.`);
    found.folders.push({ path, extras: line.extras, from: place });
  }
  if (line.kind === "hashes" || ("hashed" in line && line.hashed)) found.hashed = true;
}

/** The archive holds no links, so that a path which stays in the project by its parts stays in it. */
export function inProject(base: string, path: string, place: Place): string {
  const full = posix.normalize(posix.join(base, path)).replace(/(?<=.)\/$/, "");
  if (posix.isAbsolute(path) || full === ".." || full.startsWith("../"))
    return refuseAt(place)(`${shown(path)} leads out of the project.`, "Only files below the folder of fnctl.yaml are deployed.");
  return full;
}

export async function readUtf8(path: string, name: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch {
    throw new BuildFailure(`${name} is not UTF-8.`, "Save it as UTF-8 (in PowerShell: `| Out-File -Encoding utf8`).");
  }
}

const tooMuch = (): never => {
  throw new BuildFailure(`The requirements files have more than ${MOST_BYTES / 1024 / 1024} MiB.`);
};

/** Lines without comments, put together where a backslash says so; as pip does it, a comment ends what it continues. */
function* logicalLines(text: string): Generator<{ text: string; line: number }> {
  let pending = "";
  let begun = 0;
  for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
    if (pending === "") begun = index + 1;
    const comment = /^\s*#/.test(line);
    if (line.endsWith("\\") && !comment) {
      pending += `${line.slice(0, -1)} `;
      continue;
    }
    const whole = (pending + (comment ? "" : line)).replace(/(?:^|\s)#.*$/, "").trim();
    pending = "";
    if (whole !== "") yield { text: whole, line: begun };
  }
  if (pending.trim() !== "") yield { text: pending.trim(), line: begun };
}
