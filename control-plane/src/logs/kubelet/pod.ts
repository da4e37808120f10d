// One instance's pod on this node: its files, its name once the control plane has said it, and how far its lines are kept.
import path from "node:path";
import { z } from "zod";
import { logChannelSchema, type LogChannel } from "../../contract/logs.ts";
import { createCallWatch, type CallReports } from "../keep/call-watch.ts";
import { createInstanceLog } from "../keep/instance-log.ts";
import type { Draft } from "../keep/parse-record.ts";
import type { Segments } from "../keep/segments.ts";
import { createCriReader } from "./cri-lines.ts";
import { AGENT, KNOWN_RECORDS } from "./limits.ts";
import { createPodFiles } from "./pod-files.ts";

/** `<namespace>_<pod>_<uid>`, as the kubelet names the folder. */
export interface PodFolder {
  name: string;
  tenantId: string;
  instance: string;
}
export const savedPodSchema = z.object({
  channel: logChannelSchema,
  /** File and offset from which lines are not kept yet. */
  position: z.object({ id: z.string(), offset: z.int() }).optional(),
  /** Records of a higher number were kept after this was written down. */
  seq: z.int(),
});
export type SavedPod = z.infer<typeof savedPodSchema>;

/** Container that runs the function (sandbox/kubernetes/objects/pod.ts). */
const CONTAINER = "sandbox";
const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/** Only instances of this platform's tenants: everything else on the node is not looked at. */
export function podFolder(name: string, prefix: string): PodFolder | undefined {
  const match = new RegExp(`^${prefix}-(${UUID})_i-([0-9a-f]{20})_[0-9a-f-]{1,64}$`).exec(name);
  return match === null ? undefined : { name, tenantId: match[1] ?? "", instance: match[2] ?? "" };
}

export interface PodInput {
  folder: PodFolder;
  root: string;
  saved: SavedPod | undefined;
  segments: Segments;
  reports: CallReports;
  buffer: Buffer;
}

export function createPod({ folder, root, saved, segments, reports, buffer }: PodInput) {
  let channel = saved?.channel;
  let at = Date.now();
  let keptSeq = saved?.seq ?? 0;
  let goneAt: number | undefined;
  /** What was kept after the last checkpoint of an earlier process, and how often. */
  const known = new Map<string, number>();
  const keyOf = (draft: Pick<Draft, "source" | "message">, time: number) => `${time} ${draft.source} ${draft.message}`;

  const log = createInstanceLog({
    segments,
    channel: () => channel,
    now: () => at,
    isKnown(draft, time) {
      const key = known.size === 0 ? "" : keyOf(draft, time);
      const count = known.get(key) ?? 0;
      if (count > 0) known.set(key, count - 1);
      return count > 0;
    },
  });
  const reader = createCriReader({ stdout: log.sink("stdout"), stderr: log.sink("stderr") }, (time) => (at = Math.min(time, Date.now())));
  const files = createPodFiles({
    folder: path.join(root, folder.name, CONTAINER),
    saved: saved?.position,
    onMove(offset, gap) {
      reader.moveTo(offset);
      if (gap && offset > 0) reader.skipToLine();
      if (gap) log.note("some lines are lost: the node had rotated them away, or they came faster than they were read");
    },
  });

  // Where the shim puts it; the kubelet counts it as the pod's own storage and so bounds it.
  const calls = createCallWatch({ file: path.join(root, folder.name, "gvisor.log"), keepSmall: false, channel: () => channel, reports });

  return {
    folder,
    channel: () => channel,
    /** False: it is another tenant's, whatever the answer says. */
    name(answer: LogChannel): boolean {
      if (answer.instance !== folder.instance || answer.tenantId !== folder.tenantId) return false;
      channel ??= answer;
      return true;
    },
    /** After a restart, before anything is read: what is kept already is not kept twice. */
    async recall(): Promise<void> {
      if (saved === undefined) return;
      const mine = (seq: number, instance: string) => seq > saved.seq && instance === folder.instance;
      const records = await segments.read(saved.channel, KNOWN_RECORDS, undefined, ({ seq, instance }) => mine(seq, instance));
      for (const record of records) known.set(keyOf(record, record.at), (known.get(keyOf(record, record.at)) ?? 0) + 1);
    },
    look(now: number): void {
      if (!files.look()) goneAt ??= now;
      else goneAt = undefined;
    },
    /** Reads for one look; whether there was anything. */
    pump(): boolean {
      if (channel === undefined) return false;
      files.skip(AGENT.lagBytes, AGENT.lagKeepBytes);
      let read = 0;
      for (let count = -1; count !== 0 && read < AGENT.roundBytes; read += count) {
        count = files.read(buffer);
        reader.push(buffer.subarray(0, count));
      }
      return read > 0;
    },
    /** What the platform has to say about it; once a second. */
    report(): void {
      log.reportDropped();
      calls.look();
    },
    /** Nothing more will come of it. */
    finished: (now: number): boolean => goneAt !== undefined && (channel === undefined ? now - goneAt > AGENT.namelessMs : files.drained()),
    save(seq: number): SavedPod | undefined {
      if (channel === undefined) return undefined;
      const id = files.id();
      const offset = reader.resumeAt();
      // While parts of a line wait, reading would begin before records that are kept: those are known by the older number.
      if (!reader.waits()) keptSeq = seq;
      return { channel, seq: keptSeq, ...(id === undefined ? {} : { position: { id, offset } }) };
    },
    /** What there is of an unfinished line becomes one, unless it goes on after a restart. */
    close(goesOn: boolean): void {
      if (!goesOn) reader.end();
      log.reportDropped();
      calls.close();
      files.close();
    },
  };
}
export type AgentPod = ReturnType<typeof createPod>;
