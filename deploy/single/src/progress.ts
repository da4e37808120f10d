// Named, timed steps on stderr; a spinner only on a terminal.
import { createSpinner } from "nanospinner";

export interface Progress {
  /** Runs `work` as a step; shows it if it takes more than a moment, with its time when it is done. */
  step<T>(name: string, work: (say: (detail: string) => void) => Promise<T>): Promise<T>;
}

export function createProgress(stream: NodeJS.WriteStream): Progress {
  return {
    async step(name, work) {
      const begun = performance.now();
      const spinner = stream.isTTY ? createSpinner(name, { stream }).start() : undefined;
      if (spinner === undefined) stream.write(`· ${name}\n`);
      const say = (detail: string) =>
        void (spinner === undefined ? stream.write(`    ${detail}\n`) : spinner.update({ text: `${name}: ${detail}` }));
      try {
        const value = await work(say);
        const text = `${name} ${((performance.now() - begun) / 1000).toFixed(1)} s`;
        if (spinner === undefined) stream.write(`✓ ${text}\n`);
        else spinner.success({ text });
        return value;
      } catch (error) {
        spinner?.error({ text: name });
        throw error;
      }
    },
  };
}
