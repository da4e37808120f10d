// What a source archive may hold (SECURITY G1, G2). Pure: names and sizes in, a refusal or the safe relative path out.
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { BuildFailure } from "./build-failure.ts";

export interface EntryHeader {
  name: string;
  type: string | null | undefined;
  size: number | undefined;
}
export interface AcceptedEntry {
  /** Relative, `/`-separated, no `.` or `..` parts; empty for the archive's root folder. */
  path: string;
  kind: "file" | "folder";
}

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const REFUSED_CHARACTERS = /[\0\\]|[\u0001-\u001f\u007f]/;
const SLACK_BYTES = 1024 * 1024;

export interface ArchiveRules {
  accept(header: EntryHeader): AcceptedEntry;
  /** Counts real bytes; compressed bytes so far give the ratio. */
  countBytes(unpacked: number, compressed: number): void;
}

export function createArchiveRules(): ArchiveRules {
  const kinds = new Map<string, "file" | "folder">();
  const spellings = new Map<string, string>();
  let entries = 0;
  let folders = 0;

  /** Two names that one file system may hold apart and another not (case, Unicode form) are refused, folders included. */
  const claim = (path: string, kind: "file" | "folder"): void => {
    const folded = path.normalize("NFKC").toLowerCase();
    const known = spellings.get(folded);
    if (known !== undefined && known !== path) refuse(path, `differs from ${quote(known)} only in case or Unicode form`);
    const existing = kinds.get(path);
    if (existing !== undefined && (existing !== kind || kind === "file")) refuse(path, "occurs twice");
    if (existing === undefined && kind === "folder") folders += 1;
    if (folders > LIMITS.sourceFiles) tooMany("folders");
    spellings.set(folded, path);
    kinds.set(path, kind);
  };
  return {
    accept(header) {
      entries += 1;
      if (entries > LIMITS.sourceFiles) tooMany("entries");
      const kind =
        header.type === "file"
          ? "file"
          : header.type === "directory"
            ? "folder"
            : refuse(header.name, `is a ${header.type ?? "special entry"}; only regular files and folders are taken`);
      if (!Number.isSafeInteger(header.size ?? 0) || (header.size ?? 0) < 0 || Object.is(header.size, -0))
        refuse(header.name, "has an impossible size");
      if ((header.size ?? 0) > LIMITS.sourceUnpackedBytes) tooLarge();
      const path = safePath(header.name);
      if (path === "" && kind === "file") refuse(header.name, "has no name");
      const parts = path.split("/");
      for (let depth = 1; depth < parts.length; depth += 1) claim(parts.slice(0, depth).join("/"), "folder");
      if (path !== "") claim(path, kind);
      return { path, kind };
    },
    countBytes(unpacked, compressed) {
      if (unpacked > LIMITS.sourceUnpackedBytes) tooLarge();
      if (unpacked > SLACK_BYTES + compressed * LIMITS.sourceRatio)
        throw new BuildFailure(`The archive unpacks to more than ${LIMITS.sourceRatio} times its size.`);
    },
  };
}

function safePath(name: string): string {
  if (Buffer.byteLength(name) > LIMITS.sourcePathBytes) refuse(name, `is longer than ${LIMITS.sourcePathBytes} bytes`);
  if (REFUSED_CHARACTERS.test(name) || !name.isWellFormed() || name.includes("\ufffd"))
    refuse(name, "holds a control character, a backslash or broken UTF-8");
  if (name.startsWith("/") || /^[a-zA-Z]:/.test(name)) refuse(name, "is an absolute path");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) refuse(name, "leads out of the archive");
  if (parts.length > LIMITS.sourcePathDepth) refuse(name, `is deeper than ${LIMITS.sourcePathDepth} folders`);
  return parts.join("/");
}

function refuse(name: string, why: string): never {
  throw new BuildFailure(`The archive's entry ${quote(name)} ${why}.`);
}

/** Folders count apart: an archive may name them by the paths of their files alone. */
const tooMany = (what: string): never => {
  throw new BuildFailure(
    `The archive holds more than ${LIMITS.sourceFiles} ${what}.`,
    "Leave out generated files and node_modules with .fnctlignore.",
  );
};
const tooLarge = (): never => {
  throw new BuildFailure(`The archive unpacks to more than ${LIMITS.sourceUnpackedBytes / 1024 / 1024} MiB.`);
};
const quote = (name: string): string => JSON.stringify(name.slice(0, 120));
