// The function that the conformance suite runs in drivers with real processes, and the requests that control it.
import type { Sandbox } from "../driver.ts";
import { ask } from "./ask.ts";

/**
 * Answers `/` with `text`, ends at `/exit`, uses up memory at `/eat`, blocks its event loop after `/spin`, and ignores SIGTERM after
 * `/deaf`.
 */
export const conformanceFunction = (text: string): string => `
  export default (request, response) => {
    if (request.url === "/exit") process.exit(3);
    if (request.url === "/eat") for (const kept = []; ; ) kept.push(Buffer.alloc(8 << 20, 1));
    if (request.url === "/spin") response.on("close", () => setTimeout(() => { for (;;); }, 20));
    if (request.url === "/deaf") process.removeAllListeners("SIGTERM").on("SIGTERM", () => undefined);
    response.end(${JSON.stringify(text)});
  };`;

/** Ways in which the function can ignore a request to end, and the path that starts each. */
export const STUBBORN = { spins: "/spin", "ignores SIGTERM": "/deaf" } as const;
export type Stubborn = keyof typeof STUBBORN;

/** The harness's methods that use this function. */
export const conformanceVerbs = {
  crash: async (instance: Sandbox) => void (await ask(instance, "/exit").catch(() => undefined)),
  exhaustMemory: async (instance: Sandbox) => void (await ask(instance, "/eat").catch(() => undefined)),
  makeStubborn: async (instance: Sandbox, how: Stubborn) => void (await ask(instance, STUBBORN[how])),
};
