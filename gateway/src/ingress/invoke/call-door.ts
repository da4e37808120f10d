// The listener for calls of functions by functions. Only the egress proxy can connect; it says by a credential in the first line who calls whom on
// this connection, and all behind that line is what the calling function says.
import type { Server as HttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { CALL_CREDENTIAL, callClaimsSchema, callKey, type CallClaims } from "@fnctl/control-plane/contract/function-calls";
import { jwtVerify } from "jose";
import { setCaller } from "../http/from-function.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

/** `serve` gets the connections, as if it had accepted them. */
export function createCallDoor(secret: string, serve: HttpServer): Server {
  const key = callKey(secret);
  async function admit(socket: Socket): Promise<void> {
    const claims = await readClaims(await firstLine(socket), key);
    if (claims === undefined || socket.destroyed) return void socket.destroy();
    setCaller(socket, claims);
    serve.emit("connection", socket);
    socket.resume(); // it was paused for what stands behind the line, and the server does not know
  }
  return createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => undefined);
    admit(socket).catch(() => socket.destroy());
  });
}

/** Undefined for anything but a good credential. */
async function readClaims(token: string, key: Uint8Array): Promise<CallClaims | undefined> {
  const { algorithm, issuer, audience, type, maxAgeS } = CALL_CREDENTIAL;
  const expected = { algorithms: [algorithm], issuer, audience, typ: type, maxTokenAge: maxAgeS, requiredClaims: ["exp", "iat"] };
  const { payload } = await jwtVerify(token, key, expected);
  return callClaimsSchema.safeParse(payload).data;
}

/** Takes the first line off a connection; what was read behind it is put back. */
function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const late = setTimeout(() => done(new Error("late")), GATEWAY_LIMITS.callLineMs);
    const done = (error?: Error): void => {
      clearTimeout(late);
      socket.off("data", read).off("close", gone).pause();
      if (error !== undefined) reject(error);
    };
    const gone = (): void => done(new Error("gone"));
    function read(chunk: Buffer): void {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\n");
      if (end === -1) return bytes.length > GATEWAY_LIMITS.callLineBytes ? done(new Error("too long")) : undefined;
      done();
      if (bytes.length > end + 1) socket.unshift(bytes.subarray(end + 1));
      resolve(bytes.toString("latin1", 0, end));
    }
    socket.on("data", read).once("close", gone);
  });
}
