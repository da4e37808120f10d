// The files of one container as the kubelet keeps them: `0.log`, and beside it rotated files such as `0.log.20260102-030405`. Each is held
// open from when it is seen, because a pod's files vanish soon after the pod; a file is recognised by its identity, never by its name.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, readdirSync, type BigIntStats } from "node:fs";
import path from "node:path";
import { AGENT } from "./limits.ts";

/** The position at which reading continues. */
export interface Position {
  /** Identity of the file. */
  id: string;
  offset: number;
}
interface OpenFile {
  fd: number;
  id: string;
  offset: number;
  /** Number of reads that found nothing more in it since there is a newer file. */
  drained: number;
}
const NAME = /^(\d+)\.log(?:\.(\d{8}-\d{6}))?$/;
const NEWEST = "9";

/** Oldest first: by the container's restarts, then by the time of rotation; the file without a time is still being written. */
export const inOrder = (names: readonly string[]): string[] =>
  names
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match === null ? [] : [{ name, restarts: Number(match[1]), time: match[2] ?? NEWEST }];
    })
    .toSorted((a, b) => a.restarts - b.restarts || (a.time < b.time ? -1 : Number(a.time > b.time)))
    .map(({ name }) => name);

export interface PodFiles {
  /** Looks for new files. False: the folder does not exist. */
  look(): boolean;
  /** Reads up to `buffer.length` of the next bytes; 0: there are none now. */
  read(buffer: Buffer): number;
  /** Everything has been read, as far as can be known without a newer file. */
  drained(): boolean;
  /** When more than `lag` bytes are unread, continues with the newest `keep` bytes and returns how many were skipped. */
  skip(lag: number, keep: number): number;
  /** Identity of the file that is being read. */
  id(): string | undefined;
  close(): void;
}

export interface PodFilesInput {
  /** Folder of the container. */
  folder: string;
  /** The position an earlier process had reached; older files were read completely. */
  saved: Position | undefined;
  /** The next bytes come from this offset of another file, or of the same file after a gap. */
  onMove(offset: number, gap: boolean): void;
}

export function createPodFiles({ folder, saved, onMove }: PodFilesInput): PodFiles {
  const queue: OpenFile[] = [];
  /** Files that have been read to their end and still exist. */
  let done = new Set<string>();
  let resume = saved;

  function look(): boolean {
    let names: string[];
    try {
      names = inOrder(readdirSync(folder)).slice(-AGENT.filesPerPod);
    } catch {
      return false;
    }
    const listed = new Set<string>();
    const fresh: OpenFile[] = [];
    for (const name of names) {
      const id = identityOf(path.join(folder, name));
      const known = id !== undefined && (done.has(id) || queue.some((file) => file.id === id));
      const file = known ? undefined : open(path.join(folder, name));
      if (file !== undefined) fresh.push(file);
      listed.add(id ?? "").add(file?.id ?? "");
    }
    // A new file may get the inode number of a deleted one, so a file is remembered only while it exists.
    done = new Set([...done].filter((id) => listed.has(id)));
    queue.push(...(resume === undefined || fresh.length === 0 ? fresh : resumed(fresh, resume)));
    dropOverflow();
    return true;
  }
  /** A file that is held open keeps its bytes on the node's disk after the kubelet removed it, where they are not counted. */
  function dropOverflow(): void {
    const over = queue.splice(0, Math.max(0, queue.length - AGENT.filesPerPod));
    for (const file of over) {
      closeSync(file.fd);
      done.add(file.id);
    }
    if (over.length > 0) onMove(queue[0]?.offset ?? 0, true);
  }
  /** Runs once after a start: skips what an earlier process has read. */
  function resumed(files: OpenFile[], { id, offset }: Position): OpenFile[] {
    resume = undefined;
    const at = files.findIndex((file) => file.id === id);
    for (const file of files.slice(0, Math.max(at, 0))) {
      closeSync(file.fd);
      done.add(file.id);
    }
    const rest = files.slice(Math.max(at, 0));
    const [first] = rest;
    if (at >= 0 && first !== undefined) first.offset = offset;
    onMove(first?.offset ?? 0, at < 0);
    return rest;
  }

  /**
   * The first file that may have more bytes. A file that is followed by another one is closed after two reads that found nothing, because
   * by then the runtime writes to the newer file.
   */
  function current(): OpenFile | undefined {
    for (let [file] = queue; file !== undefined && queue.length > 1 && file.drained >= 2; [file] = queue) {
      closeSync(file.fd);
      done.add(file.id);
      queue.shift();
      onMove(queue[0]?.offset ?? 0, false);
    }
    return queue[0];
  }

  const waiting = () => queue.reduce((sum, { fd, offset }) => sum + Math.max(0, fstatSync(fd).size - offset), 0);

  return {
    look,
    read(buffer) {
      const file = current();
      if (file === undefined) return 0;
      const count = readSync(file.fd, buffer, 0, buffer.length, file.offset);
      file.offset += count;
      if (count > 0) file.drained = 0;
      else if (queue.length > 1) file.drained++;
      return count;
    },
    drained: () => current() === undefined || (queue.length === 1 && waiting() === 0),
    skip(lag, keep) {
      const before = waiting();
      const last = queue.at(-1);
      if (before <= lag || last === undefined) return 0;
      for (const file of queue.splice(0, queue.length - 1)) {
        closeSync(file.fd);
        done.add(file.id);
      }
      last.offset = Math.max(last.offset, fstatSync(last.fd).size - keep);
      onMove(last.offset, true);
      return before - waiting();
    },
    id: () => queue[0]?.id,
    close() {
      for (const { fd } of queue.splice(0)) closeSync(fd);
    },
  };
}

/** Opens the file unless it is a symbolic link, so that only the kubelet's own files are read. */
function open(file: string): OpenFile | undefined {
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return { fd, id: identity(fstatSync(fd, { bigint: true })), offset: 0, drained: 0 };
  } catch {
    return undefined; // gone by now
  }
}
function identityOf(file: string): string | undefined {
  try {
    return identity(lstatSync(file, { bigint: true }));
  } catch {
    return undefined;
  }
}
const identity = ({ ino, birthtimeNs }: BigIntStats): string => `${ino}-${birthtimeNs}`;
