// Reads the server name out of a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3). The bytes are hostile.

export type Hello =
  | { state: "incomplete" }
  | { state: "no-tls" }
  | { state: "broken" }
  | { state: "complete"; serverName: string | undefined };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
/** No client needs more; thousands of one-byte records are looked at again with each byte that comes. */
const MOST_RECORDS = 64;

/** `bytes`: all that the client has sent so far. A handshake message may be spread over several records. */
export function readClientHello(bytes: Buffer): Hello {
  if (bytes.length < 1) return { state: "incomplete" };
  if (bytes[0] !== HANDSHAKE) return { state: "no-tls" };
  const handshake = joinRecords(bytes);
  if (handshake === undefined) return { state: "broken" };
  if (handshake.length < 4) return { state: "incomplete" };
  if (handshake[0] !== CLIENT_HELLO) return { state: "broken" };
  const length = handshake.readUIntBE(1, 3);
  if (handshake.length < 4 + length) return { state: "incomplete" };
  try {
    return { state: "complete", serverName: readServerName(new Reader(handshake.subarray(4, 4 + length))) };
  } catch {
    return { state: "broken" };
  }
}

/** The joined payload of all complete handshake records; undefined if there is a record of another type, or too many. */
function joinRecords(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  let offset = 0;
  while (bytes.length - offset >= 5) {
    if (bytes[offset] !== HANDSHAKE || bytes[offset + 1] !== 3) return parts.length > 0 ? Buffer.concat(parts) : undefined;
    const length = bytes.readUInt16BE(offset + 3);
    if (length === 0 || length > 16_384 || parts.length >= MOST_RECORDS) return undefined;
    if (bytes.length < offset + 5 + length) {
      parts.push(bytes.subarray(offset + 5));
      break;
    }
    parts.push(bytes.subarray(offset + 5, offset + 5 + length));
    offset += 5 + length;
  }
  return Buffer.concat(parts);
}

class Reader {
  private readonly bytes: Buffer;
  private at = 0;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  take(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw new RangeError("short");
    return this.bytes.subarray(this.at, (this.at += length));
  }
  /** Reads a vector whose length is in the `width` bytes before it. */
  vector(width: 1 | 2): Buffer {
    return this.take(this.take(width).readUIntBE(0, width));
  }
  get left(): number {
    return this.bytes.length - this.at;
  }
}

/** Undefined when there is no server name. Throws on two of them, or on a malformed one. */
function readServerName(hello: Reader): string | undefined {
  hello.take(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  if (hello.left === 0) return undefined;
  const extensions = new Reader(hello.vector(2));
  let name: string | undefined;
  while (extensions.left > 0) {
    const type = extensions.take(2).readUInt16BE(0);
    const data = extensions.vector(2);
    if (type !== SERVER_NAME) continue;
    if (name !== undefined) throw new RangeError("two server names");
    name = readNameList(new Reader(data));
  }
  return name;
}
function readNameList(extension: Reader): string {
  const list = new Reader(extension.vector(2));
  if (list.take(1)[0] !== 0) throw new RangeError("not a host name");
  const name = list.vector(2).toString("latin1").toLowerCase();
  if (list.left > 0 || extension.left > 0) throw new RangeError("more than one name");
  return name;
}
