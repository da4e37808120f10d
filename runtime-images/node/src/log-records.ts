// What a function prints becomes records: one line with level, request id and message (contract/logs.ts).
import { LOG_LINE_BYTES, RECORD_MARK } from "./protocol.ts";
import { requestContext } from "./request-context.ts";

export type Level = "debug" | "info" | "warn" | "error";

const CUT_NOTE = "… (cut)";
const REQUEST_ID = /^[A-Za-z0-9._-]{8,64}$/;

/** One record as it goes on the wire, at most `LOG_LINE_BYTES` long. */
export function encodeRecord(level: Level, message: string): string {
  const id = requestContext.getStore()?.requestId;
  const requestId = id !== undefined && REQUEST_ID.test(id) ? id : undefined;
  const encode = (text: string): string => `${RECORD_MARK}${JSON.stringify({ l: level, r: requestId, m: text })}\n`;
  const whole = message.length < LOG_LINE_BYTES ? encode(message) : "";
  if (whole !== "" && Buffer.byteLength(whole) <= LOG_LINE_BYTES) return whole;
  // Escapes and UTF-8 can make six bytes of one character: cut by halves until it fits.
  let text = message.slice(0, LOG_LINE_BYTES - 200);
  while (Buffer.byteLength(encode(text + CUT_NOTE)) > LOG_LINE_BYTES) text = text.slice(0, Math.floor(text.length * 0.75));
  return encode(text.toWellFormed() + CUT_NOTE);
}
