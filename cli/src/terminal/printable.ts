// Text from elsewhere (functions, builds, the platform) must not steer the user's terminal (SECURITY D10): controls become visible.

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

const escape = (char: string): string => {
  const code = char.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
};

/** One line: line ends are escaped too. Direction overrides as well, which can make a line read as another one. */
export const printable = (text: string): string => text.replace(CONTROLS, escape);

/** Many lines: line feeds stay. */
export const printableBlock = (text: string): string => text.split(/\r?\n/).map(printable).join("\n");

/** JSON that is safe on a terminal: `JSON.stringify` leaves C1 controls and direction marks as they are. */
export const printableJson = (value: unknown, space?: number): string =>
  JSON.stringify(value, null, space).replace(CONTROLS, (char) =>
    char === "\n" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
