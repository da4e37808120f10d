// `kubectl exec deploy/…-control-plane -- node bootstrap.mjs TENANT`: makes the first tenant, and prints its token and the operator's token
// once.
import "@fnctl/control-plane/service/shutdown";
import { readFileSync } from "node:fs";
import { Client } from "undici";
import { createToken } from "@fnctl/control-plane/accounts/token";
import { INTERNAL_PATHS, bootstrapResponseSchema } from "@fnctl/control-plane/contract/internal";

const [tenant] = process.argv.slice(2);
if (tenant === undefined) {
  process.stderr.write("usage: node bootstrap.mjs TENANT\n");
  process.exit(2);
}
const secret = readFileSync(process.env["FNCTL_INTERNAL_SECRET_FILE"] ?? "", "utf8").trim();
const ca = readFileSync(process.env["FNCTL_INTERNAL_CA_FILE"] ?? "", "utf8");
// The control plane's service is called, because the owner may be another pod than this one.
const service = process.env["FNCTL_CONTROL_SERVICE"] ?? "";
const client = new Client(`https://${service}:8444`, { connect: { ca, rejectUnauthorized: true } });
const secrets = { secret: createToken().secret, operatorSecret: createToken().secret };
const answer = await client.request({
  method: "POST",
  path: INTERNAL_PATHS.bootstrap,
  headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
  body: JSON.stringify({ tenant, tokenName: "first", ...secrets }),
});
const value: unknown = await answer.body.json();
if (answer.statusCode !== 200) {
  process.stderr.write(`${JSON.stringify(value)}\n`);
  process.exit(1);
}
const made = bootstrapResponseSchema.parse(value);
process.stdout.write(`tenant          ${made.tenant}\ntoken           ${secrets.secret}\noperator token  ${secrets.operatorSecret}\n`);
await client.close();
