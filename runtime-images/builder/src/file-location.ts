// Lets bundled source files go on asking where they are. Merged into one file, `import.meta.url` and `__dirname` would all name the bundle,
// so in the user's own files they are replaced by the place of the original, which is in the layer too.
import { readFile } from "node:fs/promises";
import { extname, relative, sep } from "node:path";
import type { Loader, Plugin, transform as Transform } from "esbuild";

const ASKS = /\bimport\.meta\.(?:url|dirname|filename)\b|\b__dirname\b|\b__filename\b/;
const LOADERS: Record<string, Loader> = {
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
};

/** `outputFolder`: where the bundle will lie; `transform` is esbuild's. */
export function fileLocationPlugin(outputFolder: string, tsconfigRaw: string, transform: typeof Transform): Plugin {
  return {
    name: "file-location",
    setup(build) {
      build.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
        if (path.includes(`${sep}node_modules${sep}`)) return undefined;
        const text = await readFile(path, "utf8");
        if (!ASKS.test(text)) return undefined;
        const place = JSON.stringify(relative(outputFolder, path).replaceAll(sep, "/"));
        const result = await transform(text, {
          loader: LOADERS[extname(path)] ?? "js",
          sourcefile: path,
          sourcemap: "inline",
          sourcesContent: false,
          target: "node24",
          tsconfigRaw,
          platform: "node",
          define: {
            "import.meta.url": "__fnctl_url",
            "import.meta.filename": "__fnctl_filename",
            "import.meta.dirname": "__fnctl_dirname",
            __filename: "__fnctl_filename",
            __dirname: "__fnctl_dirname",
          },
          // One line, so that the source map's lines stay right when it is put in front of the first one.
          banner: `var __fnctl_url = __fnctl_at(${place}), __fnctl_filename = __fnctl_path(__fnctl_url), __fnctl_dirname = __fnctl_dir(__fnctl_filename);`,
        });
        return { contents: result.code, loader: "js" };
      });
    },
  };
}

/** Names that the replaced files use; stands at the top of the bundle. */
export const LOCATION_BANNER = [
  'import { createRequire as __fnctl_require } from "node:module";',
  'import { fileURLToPath as __fnctl_path } from "node:url";',
  'import { dirname as __fnctl_dir } from "node:path";',
  "const require = __fnctl_require(import.meta.url), __fnctl_at = (place) => new URL(place, import.meta.url).href;",
].join(" ");
