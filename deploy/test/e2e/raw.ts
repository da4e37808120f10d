// Writes HTTP/1.1 by hand to a real socket, for requests that no client library would send and answers that a library would change.
import net from "node:net";
import { inject } from "vitest";
import { token } from "./api.ts";

const { port, hostname } = new URL(inject("platform").url);

export interface RawAnswer {
  status: number;
  head: string;
  /** The body as received, still in its transfer coding. */
  body: string;
}

export function connect(): net.Socket {
  return net.connect({ port: Number(port), host: hostname });
}

/** A request head for a function's path route; `extra` are whole lines. */
export function requestHead(method: string, name: string, path: string, extra: readonly string[] = []): string {
  const lines = [`${method} /fn/acme/${name}${path} HTTP/1.1`, `host: ${hostname}:${port}`, `authorization: Bearer ${token()}`, ...extra];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Sends the bytes unchanged; resolves with everything received when the server closes the connection or `done` returns true. */
export function exchange(bytes: string | Buffer, done: (text: string) => boolean = () => false, timeoutMs = 20_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect();
    let text = "";
    const timer = setTimeout(() => socket.destroy(new Error(`no end within ${timeoutMs} ms; so far: ${text}`)), timeoutMs);
    const finish = (): void => {
      clearTimeout(timer);
      resolve(text);
    };
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      if (!done(text)) return;
      finish();
      socket.destroy();
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.on("end", finish);
    socket.write(bytes);
  });
}

/** Parses the received text; interim answers (1xx) are left out. */
export function parse(text: string): RawAnswer {
  const [head = "", ...rest] = text.replace(/^(?:HTTP\/1\.1 1\d\d [^]*?\r\n\r\n)*/, "").split("\r\n\r\n");
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head: head.toLowerCase(), body: rest.join("\r\n\r\n") };
}

/** Sends one request, after whose answer the server closes the connection. */
export async function ask(method: string, name: string, path: string, extra: readonly string[] = []): Promise<RawAnswer> {
  return parse(await exchange(requestHead(method, name, path, ["connection: close", ...extra])));
}
