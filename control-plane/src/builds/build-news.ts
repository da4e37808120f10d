// Wakes readers of a build's events when the database says that there is news.
import { EventEmitter } from "node:events";

export function createBuildNews() {
  const news = new EventEmitter().setMaxListeners(0);
  return {
    tell: (buildId: string) => void news.emit(buildId),
    /** Resolves at the next news of the build, or after `timeoutMs`. */
    wait(buildId: string, timeoutMs: number): Promise<void> {
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          news.off(buildId, done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        news.on(buildId, done);
      });
    },
  };
}
export type BuildNews = ReturnType<typeof createBuildNews>;
