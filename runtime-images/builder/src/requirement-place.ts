// What a requirement is installed from when it is not an index: a wheel, which runs nothing, or a folder of the project, which is not built
// but put on the path. Pure. Repositories and source archives would have to be built, so they are refused.
/** What a line is refused with: why, and what to do. */
export type Refuse = (why: string, hint?: string) => never;
export type RequirementPlace =
  /** `path` as written, relative to the project. */
  | { kind: "folder"; path: string; extras: string[] }
  | { kind: "wheel"; path: string; name: string; extras: string }
  | { kind: "url"; url: string; name: string; extras: string };

export const NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?";
export const EXTRAS = `\\[ ?(?:${NAME}(?: ?, ?${NAME})*)? ?\\]`;
const WHOLE_NAME = new RegExp(`^${NAME}$`);
const WITH_EXTRAS = new RegExp(`^(.*?) ?(${EXTRAS})?$`);
const REPOSITORY = /^(?:git|hg|svn|bzr)\+|^ssh:|^git@/;
const WHEEL_URL = /^https:\/\/[A-Za-z0-9.-]+(?::\d+)?\/(?:[A-Za-z0-9._~%+!-]+\/)*([A-Za-z0-9._%+!-]+\.whl)(?:#sha256=[0-9a-fA-F]{64})?$/;
const BUILT_FROM_SOURCE = /\.(?:tar\.(?:gz|bz2|xz)|tgz|zip|egg)$/i;

export function parsePlace(text: string, refuse: Refuse): RequirementPlace {
  const [, place = "", extras = ""] = WITH_EXTRAS.exec(text.replace(/#egg=[A-Za-z0-9._-]*$/, "")) ?? [];
  if (REPOSITORY.test(place))
    refuse(
      `${shown(place)} is a repository, and nothing is built here.`,
      "Publish it as a wheel, or put its folder into the project and name that.",
    );
  const file = WHEEL_URL.exec(place)?.[1];
  if (file !== undefined) return { kind: "url", url: place, name: nameInWheel(file, refuse), extras };
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(place) && !place.startsWith("file:"))
    refuse(`${shown(place)} is not a wheel behind https, and nothing else is installed from an address.`);
  const path = place.replace(/^file:(?:\/\/(?=\/))?/, "");
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  if (path === "" || /[\\\u0000-\u001f\u007f]/.test(path)) refuse(`${shown(text)} is not a path; folders are separated by a slash.`);
  if (BUILT_FROM_SOURCE.test(path))
    refuse(`${shown(path)} would have to be built, and nothing is built here.`, "Put its wheel or its folder there instead.");
  if (!path.endsWith(".whl")) return { kind: "folder", path, extras: extrasOf(extras) };
  return { kind: "wheel", path, name: nameInWheel(path.slice(path.lastIndexOf("/") + 1), refuse), extras };
}

/** The first part of a wheel's name is the package's (PEP 427). It begins a line for uv, which must not read a place or a condition in it. */
function nameInWheel(file: string, refuse: Refuse): string {
  const [name = ""] = file.split("-");
  return WHOLE_NAME.test(name) ? name : refuse(`${shown(file)} is not the name of a wheel.`);
}

export const extrasOf = (text: string): string[] =>
  text
    .slice(1, -1)
    .split(",")
    .map((extra) => extra.trim())
    .filter((extra) => extra !== "");

export const shown = (text: string): string => JSON.stringify(text.slice(0, 100));
