// A stream of JSON lines (`application/x-ndjson`), parsed as they come.
const MOST_LINE = 4 * 1024 * 1024;

export async function* jsonLines({ body }: Response): AsyncGenerator {
  if (body === null) return;
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MOST_LINE) throw new Error("a line of the stream is too long");
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
  }
  // A last line without a line feed is incomplete, because the connection ended within it, and is dropped.
}
