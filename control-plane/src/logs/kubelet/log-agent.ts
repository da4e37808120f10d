// The log agent finds this platform's pods among the kubelet's log folders, asks the control plane which functions they belong to, and
// keeps their lines. Level-triggered: every look compares the folders on disk with the pods that are followed.
import { readdirSync, renameSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { LogChannel } from "../../contract/logs.ts";
import { createCallReports } from "../keep/syscall-watch.ts";
import type { Segments } from "../keep/segments.ts";
import { AGENT } from "./limits.ts";
import { createPod, podFolder, savedPodSchema, type AgentPod, type SavedPod } from "./pod.ts";

export interface AgentInput {
  /** The kubelet's folder of logs. */
  root: string;
  /** First part of the names of tenants' namespaces. */
  prefix: string;
  stateFile: string;
  segments: Segments;
  /** Returns the channels of those instances that belong to a function. */
  ask(instances: string[]): Promise<LogChannel[]>;
  onError(error: unknown): void;
}
const stateSchema = z.object({ pods: z.record(z.string(), savedPodSchema) });

export async function startAgent({ root, prefix, stateFile, segments, ask, onError }: AgentInput) {
  const saved = await readState(stateFile, onError);
  const pods = new Map<string, AgentPod>();
  const reports = createCallReports(segments, onError);
  const buffer = Buffer.alloc(AGENT.chunkBytes);
  let written = "";
  let closing = false;
  let full = false;

  async function look(): Promise<void> {
    let over = false;
    for (const name of readdirSync(root)) {
      const folder = pods.has(name) ? undefined : podFolder(name, prefix);
      if (folder === undefined) continue;
      over ||= pods.size >= AGENT.pods;
      if (over) continue;
      const pod = createPod({ folder, root, saved: saved.get(name), segments, reports, buffer });
      saved.delete(name);
      await pod.recall();
      pods.set(name, pod);
    }
    for (const pod of pods.values()) pod.look(Date.now());
    if (over && !full) onError(new Error(`There are more than ${AGENT.pods} pods here; the others wait.`));
    full = over;
  }
  /** Reads each pod in turn, so that a pod that writes without end does not make the others wait for long. */
  async function read(): Promise<void> {
    for (const [name, pod] of pods) {
      try {
        if (pod.pump()) await new Promise(setImmediate);
      } catch (error) {
        onError(error); // a file that cannot be read costs only its own instance's lines, not those of later pods
      }
      if (!pod.finished(Date.now())) continue;
      pod.close(false);
      pods.delete(name);
    }
  }
  async function askForNames(): Promise<void> {
    const unnamed = [...pods.values()].filter((pod) => pod.channel() === undefined);
    for (let from = 0; from < unnamed.length; from += AGENT.nameBatch) {
      const batch = unnamed.slice(from, from + AGENT.nameBatch);
      const answers = new Map((await ask(batch.map(({ folder }) => folder.instance))).map((answer) => [answer.instance, answer]));
      for (const pod of batch) {
        const answer = answers.get(pod.folder.instance);
        if (answer !== undefined && !pod.name(answer))
          onError(new Error(`Instance ${pod.folder.instance} is said to be another tenant's.`));
      }
    }
  }
  /**
   * Writes the records first and the positions after them: after a kill in between, lines are read again and recognised, and none is lost.
   */
  async function checkpoint(): Promise<void> {
    const seq = segments.lastSeq();
    const state: Record<string, SavedPod> = {};
    for (const [folder, pod] of pods) {
      pod.report();
      const own = pod.save(seq);
      if (own !== undefined) state[folder] = own;
    }
    await segments.settle();
    const text = JSON.stringify({ pods: state });
    if (text === written) return;
    writeFileSync(`${stateFile}.new`, text, { mode: 0o600 });
    renameSync(`${stateFile}.new`, stateFile);
    written = text;
  }
  async function every(ms: number, work: () => Promise<void>): Promise<void> {
    while (!closing) {
      await work().catch(onError);
      await sleep(ms);
    }
  }

  await look();
  const loops = [
    every(AGENT.pollMs, async () => look().then(read)),
    every(AGENT.nameMs, askForNames),
    every(AGENT.checkpointMs, checkpoint),
  ];
  return {
    async close(): Promise<void> {
      closing = true;
      await Promise.all(loops);
      await checkpoint();
      for (const pod of pods.values()) pod.close(true);
      await segments.settle();
    },
  };
}

/** Unreadable state does not stop the agent from starting; some lines are then kept twice. */
async function readState(file: string, onError: (error: unknown) => void): Promise<Map<string, SavedPod>> {
  const text = await readFile(file, "utf8").catch(() => "");
  if (text === "" || text.length > AGENT.stateBytes) return new Map();
  try {
    return new Map(Object.entries(stateSchema.parse(JSON.parse(text)).pods));
  } catch (error) {
    onError(error);
    return new Map();
  }
}
