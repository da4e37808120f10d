// Four suites: `unit` (parts, with real sockets, files, Postgres and sandboxes of their own), `e2e` (a whole platform through its CLI),
// `registry` (images in real registries, which are among the cluster's tools) and `cluster` (a real Kubernetes with gVisor).
import { defineConfig } from "vitest/config";

/** What is polled for comes in milliseconds on a machine at rest; vitest's second is too short for a command line on a busy one. */
const expectation = { poll: { timeout: 20_000 } };
const common = { testTimeout: 60_000, hookTimeout: 180_000, pool: "forks" as const, expect: expectation };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: "unit",
          include: [
            "{gateway,control-plane,cli,migrations}/src/**/*.test.ts",
            "runtime-images/**/*.test.ts",
            "deploy/{single,cluster}/**/*.test.ts",
            "deploy/test/rules/**/*.test.ts",
          ],
          exclude: ["**/node_modules/**"],
          maxWorkers: 3, // most of what takes long waits
        },
      },
      {
        test: {
          ...common,
          name: "e2e",
          include: ["deploy/test/e2e/**/*.test.ts"],
          maxWorkers: 1,
          fileParallelism: false,
          globalSetup: ["deploy/test/e2e/global-setup.ts"],
          testTimeout: 120_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: { ...common, name: "registry", include: ["deploy/test/registry/**/*.test.ts"], maxWorkers: 1, fileParallelism: false },
      },
      {
        test: {
          ...common,
          name: "cluster",
          include: ["deploy/test/cluster/**/*.test.ts"],
          maxWorkers: 1,
          fileParallelism: false,
          globalSetup: ["deploy/test/cluster/global-setup.ts"],
          testTimeout: 120_000,
        },
      },
    ],
  },
});
