// Keeps `min` instances of each live version running. Missing instances are found anew at each look and started a few at a time: after a
// restart there may be thousands, and cold starts for waiting requests must not queue behind them.
import type { Route } from "../../contract/internal.ts";
import { createBackoff } from "./backoff.ts";
import type { LeaseManager } from "../leases/lease-manager.ts";
import type { VersionInfoCache } from "../start/version-info.ts";

/** How many starts for `min` run at a time. */
export const PARALLEL_MIN_STARTS = 32;

export interface MinimumOptions {
  leases: Pick<LeaseManager, "launch" | "startingOf" | "table">;
  versions: Pick<VersionInfoCache, "get">;
  onError(error: unknown): void;
}

export function createMinimum({ leases, versions, onError }: MinimumOptions) {
  const backoff = createBackoff();
  /** Routes of the last look whose starts have not begun; the next one is at the end. */
  let waiting: Route[] = [];
  /** Starts that may begin because their backoff has passed, one entry for each instance. */
  let due: Route[] = [];
  let running = 0;
  let lookedAt = 0;

  const versionOf = (route: Route): string => route.targets[0]?.versionId ?? "";
  const missing = (route: Route): number =>
    route.min - leases.table.ofVersion(versionOf(route)).length - leases.startingOf(versionOf(route));

  function next(): Route | undefined {
    for (;;) {
      const begun = due.pop();
      if (begun !== undefined) return begun;
      const route = waiting.pop();
      if (route === undefined) return undefined;
      const count = missing(route);
      if (count > 0 && backoff.take(versionOf(route), lookedAt)) due = Array.from({ length: count }, () => route);
    }
  }
  function pump(): void {
    while (running < PARALLEL_MIN_STARTS) {
      const route = next();
      if (route === undefined) return;
      running++;
      void versions
        .get(route.functionId, versionOf(route))
        .then((info) => leases.launch(info, "minimum"))
        .catch(onError)
        .finally(() => {
          running--;
          pump();
        });
    }
  }

  return {
    /** `routes`: all routes with a `min`. Starts that an earlier look found and that have not begun are forgotten. */
    look(routes: readonly Route[], now: number): void {
      lookedAt = now;
      backoff.forgetExcept(new Set(routes.flatMap((route) => route.targets.map(({ versionId }) => versionId))));
      due = [];
      waiting = routes.filter((route) => route.targets.length > 0 && missing(route) > 0).toReversed();
      pump();
    },
  };
}
