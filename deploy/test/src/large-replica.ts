// A gateway's replica of the change stream alone, in a process of its own. `fork(large-replica.ts, [SOCKET, SECRET])`; tells each time that a
// snapshot is whole, and answers messages.
import { createControlClient } from "../../../gateway/src/ingress/replica/control-client.ts";
import { startChangeFeed } from "../../../gateway/src/replica/change-feed.ts";
import { createRouteTable, routesReplica } from "../../../gateway/src/ingress/replica/route-table.ts";
import { createTokenTable, tokensReplica } from "../../../gateway/src/ingress/replica/token-table.ts";
import { Metrics } from "../../../gateway/src/ingress/measure/metrics.ts";

const [socketPath = "", secret = ""] = process.argv.slice(2);
const control = createControlClient({ dial: { origin: "http://control", connect: { socketPath } }, secret, gateway: "large" });
const routes = createRouteTable();
const tokens = createTokenTable();
const begun = performance.now();
startChangeFeed({
  control,
  topics: [routesReplica(routes, () => undefined), tokensReplica(tokens)],
  metrics: new Metrics(),
  warn: (message, facts) => process.stderr.write(`${message} ${JSON.stringify(facts)}\n`),
  handlers: {
    connected: () => process.send?.({ whole: performance.now() - begun }),
  },
});
process.on("message", () => {
  const first = routes.find("function-0--tenant-0");
  process.send?.({ routes: routes.size, tokens: tokens.size, version: first?.targets[0]?.version });
});
