// One instance's pod on this node: its files, the function it belongs to once the control plane has said so, and how far its lines are
// kept.
import path from "node:path";
import { z } from "zod";
import { logChannelSchema, type LogChannel } from "../../contract/logs.ts";
import { createSyscallWatch, type CallReports } from "../keep/syscall-watch.ts";
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
  /** File and offset up to which lines are kept. */
  position: z.object({ id: z.string(), offset: z.int() }).optional(),
  /** Records with a higher number were kept after this state was saved. */
  seq: z.int(),
});
export type SavedPod = z.infer<typeof savedPodSchema>;

/** Container that runs the function (sandbox/kubernetes/objects/pod.ts). */
const CONTAINER = "sandbox";
const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/** undefined for every folder that is not of an instance of this platform's tenants. */
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
  /** Records kept after an earlier process's last checkpoint, with the number of times each was kept. */
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

  // gVisor's shim puts the file here; the kubelet counts it as the pod's own storage and so limits it.
  const calls = createSyscallWatch({ file: path.join(root, folder.name, "gvisor.log"), keepSmall: false, channel: () => channel, reports });

  return {
    folder,
    channel: () => channel,
    /** Sets the function the pod belongs to. False: the folder's name contradicts the answer, which is then ignored. */
    name(answer: LogChannel): boolean {
      if (answer.instance !== folder.instance || answer.tenantId !== folder.tenantId) return false;
      channel ??= answer;
      return true;
    },
    /** Called after a restart before anything is read, so that records that are kept already are not kept twice. */
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
    /** Reads new lines for one look; returns whether there were any. */
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
    /** Adds the platform's own records about the instance; called once a second. */
    report(): void {
      log.reportDropped();
      calls.look();
    },
    /** Whether the pod has ended and all its lines have been read. */
    finished: (now: number): boolean => goneAt !== undefined && (channel === undefined ? now - goneAt > AGENT.namelessMs : files.drained()),
    save(seq: number): SavedPod | undefined {
      if (channel === undefined) return undefined;
      const id = files.id();
      const offset = reader.resumeAt();
      // While a line is unfinished, `resumeAt` is before records that are kept already; the older number lets `recall` find these.
      if (!reader.waits()) keptSeq = seq;
      return { channel, seq: keptSeq, ...(id === undefined ? {} : { position: { id, offset } }) };
    },
    /** An unfinished line is kept as it is, unless reading continues after a restart. */
    close(goesOn: boolean): void {
      if (!goesOn) reader.end();
      log.reportDropped();
      calls.close();
      files.close();
    },
  };
}
export type AgentPod = ReturnType<typeof createPod>;
