// Function logs of a cluster: every node's agent keeps the lines of the instances that ran there. A read asks all agents and merges their
// answers; a note goes to the agent of the instance's node.
import { PassThrough, type Readable } from "node:stream";
import { buildConnector } from "undici";
import { PlatformError } from "../../contract/errors.ts";
import { writeLines } from "../../service/http/write-lines.ts";
import { dialCollector, type CollectorClient, type OneCollector } from "./collector-client.ts";
import { followAll, type FollowTimes } from "./follow.ts";
import { readAll } from "./read.ts";
import type { LogAgentAddress } from "../../cluster/log-agents.ts";

export interface Agent {
  place: LogAgentAddress;
  client: OneCollector;
}
export interface AgentsInput {
  /** Addresses of the agents that exist now. */
  find(): Promise<LogAgentAddress[]>;
  /** Node of an instance; undefined if it is not known. */
  nodeOf(instance: string): Promise<string | undefined>;
  /** PEM: the only authority whose certificates are accepted from agents, and the only name in them. */
  ca: string;
  serverName: string;
  /** PEM: the control plane's own certificate and key, by which agents recognise it. */
  identity: { cert: string; key: string };
  secret: string;
  times?: FollowTimes;
  onError(error: unknown): void;
}
const CONNECT_MS = 5_000;

export function createAgentsClient({ find, nodeOf, ca, serverName, identity, secret, times, onError }: AgentsInput): CollectorClient {
  const known = new Map<string, Agent>();
  const connector = buildConnector({ ca, ...identity, minVersion: "TLSv1.3", rejectUnauthorized: true, timeout: CONNECT_MS });

  function open(place: LogAgentAddress): Agent {
    const host = place.host.includes(":") ? `[${place.host}]` : place.host;
    const connect: buildConnector.connector = (options, callback) => connector({ ...options, servername: serverName }, callback);
    return { place, client: dialCollector({ origin: `https://${host}:${place.port}`, connect, secret }) };
  }
  async function agents(): Promise<Agent[]> {
    const places = new Map((await find()).map((place) => [`${place.node} ${place.host} ${place.port}`, place]));
    for (const [key, agent] of known) {
      if (places.has(key)) continue;
      agent.client.close();
      known.delete(key);
    }
    for (const [key, place] of places) if (!known.has(key)) known.set(key, open(place));
    return [...known.values()];
  }

  return {
    async read(tenantId, functionId, query, signal): Promise<Readable> {
      const openOne = ({ client }: Agent, own: typeof query, end: AbortSignal) => client.open(tenantId, functionId, own, end);
      if (query.follow === "true") return followAll({ agents, openOne, query, signal, times, onError });
      const records = await readAll(await agents(), openOne, query, signal);
      // Each answer may hold up to 16 MiB; a client that reads nothing is cut off, as a node's agent does.
      const out = new PassThrough();
      void writeLines(out, records).then(() => out.end());
      return out;
    },
    async note(note) {
      const [all, node] = [await agents(), await nodeOf(note.instance)];
      const mostFitting = all.toSorted((a, b) => Number(b.place.node === node) - Number(a.place.node === node));
      let cause: unknown;
      for (const { client } of mostFitting) {
        try {
          return await client.note(note);
        } catch (error) {
          cause = error;
        }
      }
      throw new PlatformError("UNAVAILABLE", "No log agent takes the platform's note.", { cause });
    },
    /** Functions whose agents do not answer now are found in a later sweep. */
    async owners() {
      const answers = await Promise.allSettled((await agents()).map(({ client }) => client.owners()));
      const all = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
      return [...new Map(all.map((owner) => [`${owner.tenantId}/${owner.functionId}`, owner])).values()];
    },
    async remove(tenantId, functionId) {
      await Promise.all((await agents()).map(({ client }) => client.remove(tenantId, functionId)));
    },
  };
}
