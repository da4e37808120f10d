// Bundles a Node function into one module beside its entry file; what cannot be bundled stays a package next to it.
import { readFile } from "node:fs/promises";
import { join, posix } from "node:path";
import * as esbuild from "esbuild";
import { BuildFailure } from "./build-failure.ts";
import { LOCATION_BANNER, fileLocationPlugin } from "./file-location.ts";
import { packageNameOf, unbundleable } from "./node-packages.ts";

export interface NodeBundle {
  /** Paths in the layer. */
  file: string;
  files: Map<string, Buffer>;
  /** Packages that the bundle imports by name. */
  external: Set<string>;
  /** Every package of which something is in the bundle. */
  bundled: Set<string>;
}

export async function bundleNode(source: string, entry: string, log: (text: string) => void): Promise<NodeBundle> {
  const stem = posix.join(posix.dirname(entry), posix.basename(entry, posix.extname(entry)));
  const file = `${stem}.fnctl.mjs`;
  let external = new Set<string>();
  // The first pass shows which packages are in play; a package that must stay whole is only known then. Each further pass can bring in no new
  // files, so this ends: usually after one pass, after two with native packages.
  for (;;) {
    const result = await runEsbuild(source, entry, file, external, log);
    const inputs = Object.keys(result.metafile.inputs);
    const found = await unbundleable(source, inputs);
    if (found.size === 0) {
      for (const warning of await esbuild.formatMessages(result.warnings, { kind: "warning", color: false })) log(warning);
      const files = new Map(result.outputFiles.map((output) => [posix.relative(source, output.path), Buffer.from(output.contents)]));
      return {
        file,
        files,
        external,
        bundled: new Set(inputs.filter((path) => path.includes("node_modules/")).map((path) => packageNameOf(path))),
      };
    }
    external = new Set([...external, ...found]);
  }
}

async function runEsbuild(
  source: string,
  entry: string,
  outfile: string,
  external: ReadonlySet<string>,
  log: (text: string) => void,
): Promise<esbuild.BuildResult<{ metafile: true; write: false }>> {
  const tsconfigRaw = await readFile(join(source, "tsconfig.json"), "utf8").catch(() => "{}");
  try {
    return await esbuild.build({
      absWorkingDir: source,
      entryPoints: [entry],
      outfile: join(source, outfile),
      bundle: true,
      write: false,
      metafile: true,
      allowOverwrite: true,
      platform: "node",
      format: "esm",
      target: "node24",
      keepNames: true,
      sourcemap: "linked",
      sourcesContent: false,
      legalComments: "none",
      logLevel: "silent",
      external: [...external].flatMap((name) => [name, `${name}/*`]),
      loader: { ".node": "empty" },
      banner: { js: LOCATION_BANNER },
      plugins: [fileLocationPlugin(join(source, posix.dirname(outfile)), tsconfigRaw, esbuild.transform)],
    });
  } catch (error) {
    if (!isBuildError(error)) throw error;
    // Without esbuild's advice to mark a package as external: there is no such setting here, and the hint says what helps.
    const errors = error.errors.map((message) => ({ ...message, notes: message.notes.filter(({ text }) => !text.includes("external")) }));
    for (const text of await esbuild.formatMessages(errors, { kind: "error", color: false })) log(text);
    throw new BuildFailure(error.errors.slice(0, 10).map(messageLine).join("\n"), hintFor(error.errors));
  }
}

const isBuildError = (error: unknown): error is esbuild.BuildFailure => Array.isArray((error as esbuild.BuildFailure).errors);

function messageLine({ location, text, notes }: esbuild.Message): string {
  const place = location === null ? "" : `${location.file}:${location.line}:${location.column + 1}: `;
  return `${place}${text}${notes.length > 0 && location === null ? ` (${notes[0]?.text})` : ""}`;
}

function hintFor(errors: readonly esbuild.Message[]): string | undefined {
  const unresolved = errors.map((error) => /^Could not resolve "([^".][^"]*)"/.exec(error.text)?.[1]).find((name) => name !== undefined);
  return unresolved === undefined
    ? undefined
    : `Is ${unresolved} in \`dependencies\` (not \`devDependencies\`) of package.json and in package-lock.json? Run \`npm install ${unresolved}\`.`;
}
