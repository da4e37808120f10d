// Rules for the contents of a built layer (SECURITY G6). Pure: a header goes in, a refusal or the canonical entry comes out.
import type tar from "tar-stream";
import { PlatformError } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";

/** Every entry of a layer is below this folder. */
export const LAYER_ROOT = "function";
/** Most folders in a path: source paths get up to 8 levels deeper when packages are placed around them. */
export const LAYER_PATH_DEPTH = LIMITS.sourcePathDepth + 8;
/**
 * Extended headers (pax(1)) that a layer needs for long names and large files; headers that give an entry another meaning, such as sparse
 * maps, are refused.
 */
const PAX_KEYS: ReadonlySet<string> = new Set(["path", "size"]);
const SPECIAL_MODE = 0o7000; // setuid, setgid, sticky
const EXECUTABLE = 0o111;

export interface LayerEntry {
  name: string;
  folder: boolean;
  mode: number;
  size: number;
}

const refuse = (what: string, name: string) =>
  new PlatformError("INVALID_ARCHIVE", `The built layer is not acceptable: ${what}: ${JSON.stringify(name.slice(0, 200))}.`);
const tooMany = (what: string) =>
  new PlatformError("PAYLOAD_TOO_LARGE", `The built layer has more than ${LIMITS.layerFiles} ${what}.`, {
    hint: "Ship fewer dependencies.",
  });

/** Checks the entries of one layer in their order, and keeps the totals of that layer so far. */
export function createLayerLint() {
  let last = "";
  let files = 0;
  let bytes = 0;
  const folders = new Set<string>();
  const spellings = new Set<string>();

  /**
   * Refuses a name that differs from an earlier one only in case or Unicode form, and a name whose folder had no entry of its own (such a
   * folder would not be counted).
   */
  function claim(name: string): void {
    const parent = name.slice(0, Math.max(0, name.lastIndexOf("/")));
    if (parent !== "" && parent !== LAYER_ROOT && !folders.has(parent))
      throw refuse("an entry in a folder that is no entry before it", name);
    const folded = name.normalize("NFKC").toLowerCase();
    if (spellings.has(folded)) throw refuse("a name that another entry has in other case or Unicode form", name);
    spellings.add(folded);
  }

  function count(name: string, folder: boolean, size: number): void {
    bytes += size;
    if (folder) folders.add(name);
    else files++;
    if (files > LIMITS.layerFiles) throw tooMany("files");
    if (folders.size > LIMITS.layerFiles) throw tooMany("folders");
    if (bytes > LIMITS.layerBytes)
      throw new PlatformError("PAYLOAD_TOO_LARGE", `The built layer is larger than ${LIMITS.layerBytes / 1024 ** 2} MiB.`, {
        hint: "Ship fewer or smaller dependencies.",
      });
  }

  return {
    /** Throws for anything but regular files and folders at clean paths below listed folders, in strictly rising order (so none twice). */
    check(header: tar.Header): LayerEntry {
      const folder = header.type === "directory";
      const name = folder ? header.name.replace(/\/$/, "") : header.name;
      const problem = headerProblem(header) ?? pathProblem(name);
      if (problem !== undefined) throw refuse(problem, name);
      if (Buffer.compare(Buffer.from(last), Buffer.from(name)) >= 0) throw refuse("an entry out of order, or for the second time", name);
      last = name;
      claim(name);
      const size = folder ? 0 : (header.size ?? 0);
      count(name, folder, size);
      const executable = ((header.mode ?? 0) & EXECUTABLE) !== 0;
      return { name, folder, size, mode: folder || executable ? 0o755 : 0o644 };
    },
  };
}

function headerProblem({ type, mode, size, pax }: tar.Header): string | undefined {
  if (type !== "file" && type !== "directory") return `an entry of type ${type ?? "unknown"}`;
  if (((mode ?? 0) & SPECIAL_MODE) !== 0) return "a setuid, setgid or sticky mode";
  if (!Number.isSafeInteger(size ?? 0) || (size ?? 0) < 0 || Object.is(size, -0)) return "an impossible size";
  if (type === "directory" && (size ?? 0) > 0) return "a folder with content";
  const strange = Object.keys(pax ?? {}).find((key) => !PAX_KEYS.has(key));
  return strange === undefined ? undefined : `the extended header ${JSON.stringify(strange.slice(0, 50))}`;
}

function pathProblem(name: string): string | undefined {
  const parts = name.split("/");
  if (parts[0] !== LAYER_ROOT) return "a path outside the function's folder";
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "an unclean path";
  if (parts.some((part) => part.startsWith(".wh."))) return "a whiteout"; // image-spec, layer.md, "Whiteouts"
  // eslint-disable-next-line no-control-regex -- this check is for control characters
  if (/[\u0000-\u001f\u007f\\]/.test(name)) return "a control character or backslash in a path";
  if (!name.isWellFormed() || name.includes("\ufffd")) return "a path that is not UTF-8";
  if (Buffer.byteLength(name) > LIMITS.sourcePathBytes) return "a path that is too long";
  return parts.length > LAYER_PATH_DEPTH ? "a path that is too deep" : undefined;
}
