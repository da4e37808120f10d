// Stack traces name the user's source instead of the bundle. Node's own support reads every map when its module is loaded (5-10 ms of an
// Express app's cold start); here a map is read when the first stack that needs it is looked at.
import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { fileURLToPath } from "node:url";

/** What the builder names its bundles (builder/src/node-bundle.ts). */
const BUNDLE = ".fnctl.mjs";

export function nameSourcesInStacks(): void {
  const maps = new Map<string, SourceMap | undefined>();
  const mapOf = (bundle: string): SourceMap | undefined => {
    if (!maps.has(bundle)) maps.set(bundle, readMap(bundle));
    return maps.get(bundle);
  };
  Error.prepareStackTrace = (error, frames) => {
    const lines = frames.map((frame) => {
      const file = frame.getFileName();
      return `\n    at ${file?.endsWith(BUNDLE) === true ? withSource(frame, file, mapOf(file)) : String(frame)}`;
    });
    return headline(error) + lines.join("");
  };
}

function withSource(frame: NodeJS.CallSite, bundle: string, map: SourceMap | undefined): string {
  const line = frame.getLineNumber() ?? 0;
  const column = frame.getColumnNumber() ?? 0;
  const origin = map?.findOrigin(line, column);
  if (origin === undefined || !("fileName" in origin) || origin.fileName === undefined) return String(frame);
  const place = `${fileURLToPath(new URL(origin.fileName, bundle))}:${origin.lineNumber}:${origin.columnNumber}`;
  return String(frame).replace(`${bundle}:${line}:${column}`, place);
}

function readMap(bundle: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(bundle)}.map`, "utf8")) as SourceMapPayload);
  } catch {
    return undefined; // the stack then names the bundle, which is still true
  }
}

/** Error.prototype.toString, for anything that was thrown: getters of the user's own may throw as well. */
function headline(error: unknown): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "Error";
  }
}
