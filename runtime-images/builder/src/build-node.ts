// A Node function: dependencies, bundle, and the layer's files. Layout: the user's files where they were (without node_modules), the bundle
// beside the entry file, packages that cannot be bundled in node_modules.
import { BuildFailure } from "./build-failure.ts";
import { findNodeEntry, readPackageJson } from "./entry-file.ts";
import { LEFT_OUT, addFolder, type LayerFiles } from "./layer.ts";
import { bundleNode } from "./node-bundle.ts";
import { dependencyClosure, realFolder } from "./node-packages.ts";
import { installNpmDependencies } from "./npm-install.ts";
import type { Entry } from "./protocol.ts";
import type { Workspace } from "./workspace.ts";

export async function buildNode(workspace: Workspace): Promise<{ entry: Entry; files: LayerFiles }> {
  const { source, request } = workspace;
  const packageJson = await readPackageJson(source);
  const entryFile = await findNodeEntry(source, request.main, packageJson["main"]);
  if (!/\.(?:[cm]?[jt]s|[jt]sx)$/.test(entryFile))
    throw new BuildFailure(
      `${entryFile} is not a JavaScript or TypeScript file.`,
      "Set `main:` in fnctl.yaml to the module that exports the handler.",
    );
  await installNpmDependencies(workspace, packageJson);

  const log = (text: string): void => workspace.emit({ type: "log", stream: "stderr", text });
  const bundle = await workspace.step("bundle", () => bundleNode(source, entryFile, log));
  const files: LayerFiles = new Map();
  await addFolder(files, source, "", (_path, name) => LEFT_OUT.has(name));
  for (const [path, bytes] of bundle.files) files.set(path, bytes);

  // What is declared but was never reached is perhaps loaded by name (view engines, database drivers, log transports).
  const declared = Object.keys(packageJson["dependencies"] ?? {}).filter(
    (name) => !bundle.bundled.has(name) && !name.startsWith("@types/"),
  );
  for (const folder of await dependencyClosure(source, [...bundle.external, ...declared])) {
    await addFolder(files, await realFolder(source, folder), folder, (_path, name) => name === "node_modules" || name === ".git");
  }
  return { entry: request.handler === undefined ? { file: bundle.file } : { file: bundle.file, name: request.handler }, files };
}
