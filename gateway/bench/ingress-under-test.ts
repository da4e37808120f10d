// The real ingress in its own process, for measuring. Settings come by environment as in production.
import { readSecret } from "@fnctl/control-plane/service/settings/secret";
import { startIngress } from "../src/ingress/ingress.ts";
import { readIngressSettings } from "../src/ingress/settings.ts";

const settings = readIngressSettings(process.env);
const { address } = await startIngress(settings, readSecret(settings.secretFile), {
  warn: (message, facts) => process.stderr.write(`${message} ${JSON.stringify(facts)}\n`),
});
process.send?.(address);
process.on("message", (asked) => process.send?.(asked === "memory" ? process.memoryUsage.rss() : process.cpuUsage()));
