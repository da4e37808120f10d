// What functions moved through the egress proxies, by days.
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { egressUsageSchema } from "@fnctl/control-plane/contract/resources";
import type { Command } from "commander";
import { z } from "zod";
import type { CliIo } from "../cli-io.ts";
import { usage } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags } from "../session.ts";
import { bytes } from "../terminal/amounts.ts";
import { table } from "../terminal/table.ts";

const listSchema = z.object({ items: z.array(egressUsageSchema) });

export function addEgressUsage(group: Command, io: CliIo): void {
  addCommand(group, "usage", "print what functions moved, by days (UTC)")
    .argument("[name]", "the function; absent: all")
    .option("--days <count>", "so many days, today included", "7")
    .action(async (name: string | undefined, flags: GlobalFlags & { days: string }) => {
      if (!/^[1-9]\d?$/.test(flags.days) || Number(flags.days) > LIMITS.egressUsageDays)
        throw usage(`--days is from 1 to ${LIMITS.egressUsageDays}, not ${flags.days}.`, "fnctl egress usage --days 30");
      const session = createSession(io, flags);
      const query = new URLSearchParams({ days: flags.days, ...(name === undefined ? {} : { function: name }) });
      const { items } = await (await session.api()).json(listSchema, "GET", `/v1/egress/usage?${query.toString()}`);
      if (items.length === 0) session.note("nothing was moved yet; what is moved is seen here some seconds later");
      const rows = items.map((item) => [
        item.day,
        item.function ?? "(removed)",
        String(item.connections),
        bytes(item.bytesUp),
        bytes(item.bytesDown),
        `${Math.round(item.openMs / 1_000)} s`,
      ]);
      session.result({ items }, items.length === 0 ? "" : table(["DAY", "FUNCTION", "CONNECTIONS", "UP", "DOWN", "OPEN"], rows));
    });
}
