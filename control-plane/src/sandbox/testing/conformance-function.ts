// The function that the conformance suite runs in drivers with real processes, and how it is told what to do.
import type { Sandbox } from "../driver.ts";
import { ask } from "./ask.ts";

/** Answers `/` with `text`, ends at `/exit`, eats memory at `/eat`, never lets its event loop go on after `/spin`, and ignores SIGTERM after `/deaf`. */
export const conformanceFunction = (text: string): string => `
  export default (request, response) => {
    if (request.url === "/exit") process.exit(3);
    if (request.url === "/eat") for (const kept = []; ; ) kept.push(Buffer.alloc(8 << 20, 1));
    if (request.url === "/spin") response.on("close", () => setTimeout(() => { for (;;); }, 20));
    if (request.url === "/deaf") process.removeAllListeners("SIGTERM").on("SIGTERM", () => undefined);
    response.end(${JSON.stringify(text)});
  };`;

/** Ways not to end when asked to. */
export const STUBBORN = { spins: "/spin", "ignores SIGTERM": "/deaf" } as const;
export type Stubborn = keyof typeof STUBBORN;

/** The harness's verbs for such a function. */
export const conformanceVerbs = {
  crash: async (instance: Sandbox) => void (await ask(instance, "/exit").catch(() => undefined)),
  exhaustMemory: async (instance: Sandbox) => void (await ask(instance, "/eat").catch(() => undefined)),
  makeStubborn: async (instance: Sandbox, how: Stubborn) => void (await ask(instance, STUBBORN[how])),
};
