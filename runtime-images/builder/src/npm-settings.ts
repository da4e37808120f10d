// What of a project's .npmrc goes on (SECURITY G3): which registry a scope has, and what decides whether its lock file fits. Every other setting of
// npm can name a program, a file or a way out (`git`, `script-shell`, `node-options`, `cafile`, `prefix` …), so npm never reads that file.
// Pure. The format is npm's INI: `name = value`, values may be quoted, a section's settings mean nothing to npm.
const FLAGS = new Set(["legacy-peer-deps", "strict-peer-deps", "engine-strict"]);
const SCOPE = /^@[a-z0-9~][a-z0-9._~-]*:registry$/i;

export interface NpmSettings {
  /** Lines of a file of ours. */
  lines: string[];
  /** Names of settings that have no effect here; never their values, which may be tokens. */
  dropped: string[];
}

export function npmSettings(text: string, npmRegistry: string | undefined): NpmSettings {
  const lines: string[] = [];
  const dropped: string[] = [];
  for (const line of text.replace(/^\ufeff/, "").split(/[\r\n]+/)) {
    if (/^\s*(?:[;#]|$)/.test(line)) continue;
    if (/^\s*\[/.test(line)) break;
    const [, name = "", value = ""] = /^\s*([^=]*?)\s*(?:=\s*(.*?)\s*)?$/.exec(line.slice(0, 2000)) ?? [];
    const plain = value.replace(/^(["'])(.*)\1$/, "$2");
    const kept = FLAGS.has(name) ? flag(name, plain) : SCOPE.test(name) ? scope(name, plain, npmRegistry) : undefined;
    if (kept === undefined) dropped.push(name.slice(0, 100));
    else lines.push(kept);
  }
  return { lines, dropped };
}

/** A name alone means true. */
const flag = (name: string, value: string): string | undefined =>
  value === "" || value === "true" || value === "false" ? `${name}=${value || "true"}` : undefined;

/** Behind TLS, or the operator's own; the egress proxy decides which can be reached. */
function scope(name: string, value: string, npmRegistry: string | undefined): string | undefined {
  const url = value.includes("$") || !URL.canParse(value) ? undefined : new URL(value);
  if (url === undefined || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") return undefined;
  if (url.protocol !== "https:" && (npmRegistry === undefined || url.origin !== new URL(npmRegistry).origin)) return undefined;
  return `${name}=${url.href}`;
}
