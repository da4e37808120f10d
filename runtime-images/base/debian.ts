// The Debian part of a root file system: packages unpacked without running their scripts, then stripped of what a function never reads.
import { chmod, cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SANDBOX_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { run } from "./run.ts";
import { DEBIAN_SUITE } from "./versions.ts";

const USELESS = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/info",
  "usr/share/locale",
  "usr/share/lintian",
  "usr/share/bug",
  "usr/share/perl5",
  "usr/share/debconf",
  "usr/share/gcc",
  "usr/share/gdb",
  "usr/share/bash-completion",
  "usr/share/pixmaps",
  "usr/share/base-files",
  "usr/share/common-licenses",
  "usr/share/applications",
  "usr/share/menu",
  "usr/lib/x86_64-linux-gnu/gconv",
  "usr/lib/x86_64-linux-gnu/perl-base",
  "usr/bin/openssl",
  "usr/bin/mawk",
  "usr/sbin/update-ca-certificates",
  "var",
  "etc/apt",
  "etc/dpkg",
  "etc/cron.daily",
  "etc/cron.d",
  "etc/default",
  "etc/update-motd.d",
  "etc/kernel",
  "etc/logrotate.d",
  "root",
  "home",
  "media",
  "mnt",
  "srv",
  "boot",
  "dev",
  "proc",
  "sys",
  "run",
  "tmp",
];
const EMPTY_FOLDERS = [
  "dev",
  "proc",
  "sys",
  "run/fn/sock",
  "run/fn/egress",
  "function",
  "build",
  "root",
  "var/tmp",
  "etc/ssl/certs",
  "opt/fnctl",
];

/** Unpacks `packages` with their dependencies into `target`, which must not exist. Needs root, mmdebstrap and the network. */
export async function debianTree(target: string, packages: readonly string[]): Promise<void> {
  await run("mmdebstrap", [
    "--mode=root",
    "--variant=extract",
    "--format=directory",
    `--include=${packages.join(",")}`,
    ...(await hostAptOptions()),
    DEBIAN_SUITE,
    target,
    ...(await debianSources()),
  ]);
  await Promise.all(USELESS.map((path) => rm(join(target, path), { recursive: true, force: true })));
  for (const folder of EMPTY_FOLDERS) await mkdir(join(target, folder), { recursive: true });
  await mkdir(join(target, "tmp"));
  await chmod(join(target, "tmp"), 0o1777);
  const shut = join(target, dirname(SANDBOX_PATHS.lastWords));
  await mkdir(shut, { recursive: true });
  await chmod(shut, 0o700);
  await writeEtc(target);
}

/** The mirrors that this machine's own apt uses; an operator's mirror is honoured because nothing is named here. */
async function debianSources(): Promise<string[]> {
  const lines = (await run("apt-get", ["indextargets", "--format", "$(CREATED_BY) $(SITE) $(RELEASE)"])).split("\n");
  const sites = lines.map((line) => line.trim().split(" ")).filter((fields) => fields[0] === "Packages");
  const main = sites.find(([, , release]) => /^[a-z]+$/.test(release ?? ""))?.[1];
  const security = sites.find(([, , release]) => release?.endsWith("-security"))?.[1];
  if (main === undefined)
    throw new Error("apt on this machine has no Debian source; add one to /etc/apt/sources.list.d and run `apt-get update`.");
  return [`deb ${main} ${DEBIAN_SUITE} main`, ...(security === undefined ? [] : [`deb ${security} ${DEBIAN_SUITE}-security main`])];
}

/** mmdebstrap starts apt with a fresh configuration: what the operator set about reaching the mirror must go along. */
async function hostAptOptions(): Promise<string[]> {
  const dump = await run("apt-config", ["dump"]);
  const wanted = /^Acquire::(?:(?:https?|ftp)::(?:Proxy|CaInfo|CaPath|Verify|Timeout)|Check-Valid-Until|Check-Date|Retries|ForceIPv4)/i;
  return dump
    .split("\n")
    .filter((line) => wanted.test(line))
    .map((line) => `--aptopt=${line}`);
}

async function writeEtc(root: string): Promise<void> {
  const etc = (name: string, text: string): Promise<void> => writeFile(join(root, "etc", name), text);
  await etc(
    "passwd",
    "root:x:0:0:root:/root:/usr/sbin/nologin\nfunction:x:10001:10001::/tmp:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  );
  await etc("group", "root:x:0:\nfunction:x:10001:\nnogroup:x:65534:\n");
  await etc("hosts", "127.0.0.1 localhost\n::1 localhost\n");
  await etc("hostname", "function\n");
  await etc("resolv.conf", "nameserver 127.0.0.1\n");
  await etc("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n");
  await rm(join(root, "etc/localtime"), { force: true });
  await cp(join(root, "usr/share/zoneinfo/Etc/UTC"), join(root, "etc/localtime"), { dereference: true });
  await writeCaBundle(root);
}

/** What update-ca-certificates would do in the package's script. */
async function writeCaBundle(root: string): Promise<void> {
  const folder = join(root, "usr/share/ca-certificates/mozilla");
  const names = (await readdir(folder)).toSorted();
  const pems = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
  await writeFile(join(root, "etc/ssl/certs/ca-certificates.crt"), pems.map((pem) => `${pem.trim()}\n`).join(""));
  await rm(join(root, "usr/share/ca-certificates"), { recursive: true });
}
