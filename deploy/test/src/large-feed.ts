// A control plane's change feed over very many made-up tokens and routes, behind the real internal listener on a Unix socket, in a process of
// its own so that its memory can be looked at. `fork(large-feed.ts, [SOCKET, SECRET, TOKENS, ROUTES])`; says "ready", then answers messages.
import { createServer } from "node:http";
import { createChangeFeed } from "@fnctl/control-plane/changes/feed";
import { PAGE_ROWS } from "@fnctl/control-plane/changes/page";
import { createHeld } from "@fnctl/control-plane/changes/topic";
import { routesTopic, type LiveRow } from "@fnctl/control-plane/changes/topics/routes";
import { tokensTopic, type TokenRow } from "@fnctl/control-plane/changes/topics/tokens";
import { createInternalListener, type InternalDeps } from "@fnctl/control-plane/api/internal/listener";
import { functionConfigSchema } from "@fnctl/control-plane/contract/config";

const [socket = "", secret = "", tokens = "0", routes = "0"] = process.argv.slice(2);
const idOf = (kind: number, n: number): string => `0190000${kind}-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const numberOf = (id: string): number => Number.parseInt(id.slice(-12), 16);
const config = functionConfigSchema.parse({ runtime: "node24" });
let version = 1;
let removed = -1;

const row = (n: number): LiveRow =>
  ({
    tenant: { id: idOf(1, n % 1_000), slug: `tenant-${n % 1_000}`, risk: "standard" },
    fn: { id: idOf(2, n), tenantId: idOf(1, 0), name: `function-${n}` },
    version: { id: idOf(3, n), number: n === 0 ? version : 1, config },
  }) as LiveRow;
const hash = Buffer.alloc(32);
function token(n: number): TokenRow {
  hash.writeUInt32BE(n);
  return { id: idOf(4, n), tenantId: idOf(1, 0), hash: Buffer.from(hash), scopes: ["invoke"], expiresAt: null } as TokenRow;
}
/** The rows of a page, as a database would give them. */
function page<Row>(count: number, after: { id: string } | undefined, make: (n: number) => Row): Promise<Row[]> {
  const first = after === undefined ? 0 : numberOf(after.id) + 1;
  const numbers = Array.from({ length: Math.max(0, Math.min(PAGE_ROWS, count - first)) }, (_, i) => first + i);
  return Promise.resolve(numbers.filter((n) => n !== removed).map(make));
}

const feed = createChangeFeed([
  createHeld(
    routesTopic({
      liveFunction: async (id) => (numberOf(id) === removed ? undefined : row(numberOf(id))),
      liveFunctionsOf: async () => [],
      liveFunctions: (after) => page(Number(routes), after, row),
    }),
  ),
  createHeld(tokensTopic({ activeToken: async (id) => token(numberOf(id)), activeTokens: (after) => page(Number(tokens), after, token) })),
]);
await feed.resync();
const deps = { secret, feed, agents: undefined, onError: (error: unknown) => process.stderr.write(`${String(error)}\n`) };
createServer(createInternalListener(deps as unknown as InternalDeps)).listen(socket, () => process.send?.("ready"));

/** `memory`: bytes after a collection. `change`: the first route's version grows. `remove`: the second route goes; found by the next look at all. */
const orders: Record<string, () => Promise<unknown>> = {
  memory: async () => {
    (globalThis as { gc?: () => void }).gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  },
  change: async () => {
    version += 1;
    await feed.onNotice({ kind: "function", id: idOf(2, 0) });
    return feed.position();
  },
  remove: async () => {
    removed = 1;
    await feed.resync();
    return feed.position();
  },
};
process.on("message", (order: string) => void orders[order]?.().then((answer) => process.send?.({ [order]: answer })));
