// Archives made block by block (pax(1), "ustar Interchange Format"), so that they can contain headers that no library would write; for
// tests.
import { Readable } from "node:stream";

export interface RawEntry {
  name: string | Buffer;
  content?: Buffer | string;
  /** One character; `0` file, `5` folder. */
  type?: string;
  mode?: number;
  linkname?: string;
  /** Written in place of the content's size: an octal string, or the 12 bytes themselves. */
  size?: string | Buffer;
  gnu?: boolean;
}
const BLOCK = 512;
const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")} `;

/** Header, content and padding of one entry. */
export function entry(raw: RawEntry): Buffer {
  const content = Buffer.from(raw.content ?? "");
  const block = Buffer.alloc(BLOCK);
  Buffer.from(raw.name).copy(block, 0, 0, 100);
  block.write(octal(raw.mode ?? 0o644, 6), 100);
  block.write(octal(0, 6), 108);
  block.write(octal(0, 6), 116);
  Buffer.from(raw.size ?? octal(content.length, 11)).copy(block, 124, 0, 12);
  block.write(octal(0, 11), 136);
  block.write(raw.type ?? "0", 156);
  block.write(raw.linkname ?? "", 157);
  block.write(raw.gnu === true ? "ustar  \0" : "ustar\u000000", 257);
  block.fill(" ", 148, 156);
  block.write(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      6,
    ).slice(0, 6)}\0 `,
    148,
  );
  return Buffer.concat([block, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

/** A pax record block: `pax("x", {path: …})` stands before the entry it changes, `"g"` before all of them. */
export function pax(type: "x" | "g", records: Record<string, string>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(rest);
    while (length !== Buffer.byteLength(`${length}${rest}`)) length = Buffer.byteLength(`${length}${rest}`);
    return `${length}${rest}`;
  });
  return entry({ name: "PaxHeader", type, content: lines.join("") });
}

/** GNU's long name (`L`) or long link (`K`) before the entry it belongs to. */
export const gnuLong = (type: "L" | "K", text: string): Buffer => entry({ name: "././@LongLink", type, content: `${text}\0`, gnu: true });

export const END = Buffer.alloc(2 * BLOCK);
export const archive = (...parts: Buffer[]): Readable => Readable.from([Buffer.concat([...parts, END])]);
export const folder = (name: string): Buffer => entry({ name: `${name}/`, type: "5", mode: 0o755 });
export const file = (name: string, content: string | Buffer = "x"): Buffer => entry({ name, content });
