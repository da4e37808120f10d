// The real egress proxy in its own process, with one sandbox's source, for measuring. `node egress-under-test.ts FOLDER UPSTREAM-PORT`.
import { join } from "node:path";
import { Pool } from "undici";
import { startEgress } from "../src/egress/egress.ts";
import { readEgressSettings } from "../src/egress/settings.ts";

const [folder = "", port = ""] = process.argv.slice(2);
const SECRET = "e".repeat(64);
const settings = readEgressSettings({
  FNCTL_EGRESS_ROOT: join(folder, "root"),
  FNCTL_EGRESS_CONTROL_SOCKET: join(folder, "control"),
  FNCTL_INTERNAL_SECRET_FILE: "/unused",
  FNCTL_EGRESS_ALLOW_PRIVATE: "127.0.0.1",
  FNCTL_EGRESS_LOG: join(folder, "log"),
});
await startEgress(settings, SECRET, async () => ["127.0.0.1"]);
const control = new Pool("http://egress", { socketPath: settings.control.kind === "unix" ? settings.control.path : "" });
const source = {
  tenantId: null,
  functionId: null,
  version: 0,
  label: "bench",
  kind: "build",
  allow: [{ host: "*.bench.example", ports: [Number(port)] }],
  maxBytes: Number.MAX_SAFE_INTEGER,
  maxConnections: 10_000,
};
await control.request({
  method: "PUT",
  path: "/internal/v1/sources/bench",
  headers: { authorization: `Bearer ${SECRET}`, "content-type": "application/json" },
  body: JSON.stringify(source),
});
await control.close();
process.send?.("ready");
process.on("message", (asked) => process.send?.(asked === "memory" ? process.memoryUsage.rss() : process.cpuUsage()));
