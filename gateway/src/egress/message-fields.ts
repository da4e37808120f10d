// Fields of plain HTTP messages as they are sent on: without those of one connection alone (RFC 9110 section 7.6.1).

/** Named once each; what `Connection` names besides is left out, too. `proxy-` fields are this proxy's own, or somebody's guess. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "http2-settings"]);
/** What says how long a message is, and where it goes, is written by whoever sends it, from what was parsed. */
const FRAMING = new Set(["content-length", "transfer-encoding", "host"]);

/** All values of one field of a raw list (name, value, name, …). */
export function valuesOf(raw: readonly string[], name: string): string[] {
  return raw.filter((_value, index) => index % 2 === 1 && raw[index - 1]!.toLowerCase() === name);
}
const listOf = (raw: readonly string[], name: string): string[] =>
  valuesOf(raw, name)
    .flatMap((value) => value.split(","))
    .map((item) => item.trim().toLowerCase());

/** Whether a list field holds a word, with whatever parameters: `TE: trailers;q=1`. */
export const lists = (raw: readonly string[], name: string, word: string): boolean =>
  listOf(raw, name).some((item) => item.split(";")[0]!.trim() === word);

/** Whether a reason phrase can be sent on (RFC 9112 section 4): Node reads others, and throws where they are to be written. */
export const isReason = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text);

/**
 * The fields to send on, as they were written, and in their order; without those that frame the message. `hasTrailers`: it goes on in chunks; Node
 * throws where a message that does not announces trailers.
 */
export function endToEnd(raw: readonly string[], { hasTrailers = false } = {}): string[] {
  const nominated = new Set(listOf(raw, "connection"));
  const sent: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (HOP_BY_HOP.has(name) || FRAMING.has(name) || name.startsWith("proxy-") || nominated.has(name)) continue;
    if (name === "trailer" && !hasTrailers) continue;
    sent.push(raw[i]!, raw[i + 1]!);
  }
  return sent;
}

/** Trailers to send on, as pairs (RFC 9110 section 6.5.1). */
export function trailersOf(raw: readonly string[]): [string, string][] {
  const sent = endToEnd(raw);
  return Array.from({ length: sent.length / 2 }, (_, i) => [sent[2 * i]!, sent[2 * i + 1]!]);
}
