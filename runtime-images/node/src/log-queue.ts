// Lines that wait for the pipe, within a size. When it is full the request that has most of them waiting loses its newest: one that prints
// without end does not cost the others their few lines.
export interface LogQueue {
  /** Adds a line; answers how many lines had to go, this one perhaps among them. */
  push(line: Buffer, request: string): number;
  /** The first line, or what is left of it. */
  first(): Buffer | undefined;
  /** So many bytes of the first line are written. */
  written(bytes: number): void;
  clear(): void;
}

interface Waiting {
  line: Buffer;
  request: string;
}

export function createLogQueue(mostBytes: number): LogQueue {
  let waiting: Waiting[] = [];
  let bytes = 0;
  /** Waiting bytes of each request. */
  const held = new Map<string, number>();

  function count(request: string, change: number): void {
    bytes += change;
    const left = (held.get(request) ?? 0) + change;
    if (left > 0) held.set(request, left);
    else held.delete(request);
  }
  function heaviest(): string {
    let most = "";
    for (const [request, size] of held) if (size > (held.get(most) ?? 0)) most = request;
    return most;
  }
  /** The newest line of this request goes; the first of all may be half written, and stays. */
  function dropOne(request: string): boolean {
    for (let at = waiting.length - 1; at > 0; at -= 1) {
      if (waiting[at]!.request !== request) continue;
      count(request, -waiting[at]!.line.length);
      waiting.splice(at, 1);
      return true;
    }
    return false;
  }

  return {
    push(line, request) {
      let dropped = 0;
      while (bytes + line.length > mostBytes) {
        const most = heaviest();
        const own = (held.get(request) ?? 0) + line.length;
        if (own >= (held.get(most) ?? 0) || !dropOne(most)) return dropped + 1;
        dropped += 1;
      }
      waiting.push({ line, request });
      count(request, line.length);
      return dropped;
    },
    first: () => waiting[0]?.line,
    written(size) {
      const first = waiting[0]!;
      count(first.request, -size);
      if (size === first.line.length) waiting.shift();
      else first.line = first.line.subarray(size);
    },
    clear() {
      waiting = [];
      held.clear();
      bytes = 0;
    },
  };
}
