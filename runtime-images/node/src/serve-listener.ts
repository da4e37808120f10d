// Node listeners `(req, res)`: called as they are; only what they throw or reject is caught.
import type { RequestListener } from "node:http";
import { answerFailure } from "./failures.ts";
import type { Handle } from "./running.ts";

export function serveListener(handler: RequestListener): Handle {
  return (incoming, outgoing) => {
    try {
      const result: unknown = handler(incoming, outgoing);
      return result instanceof Promise ? result.catch((error: unknown) => answerFailure(outgoing, error)) : undefined;
    } catch (error) {
      return answerFailure(outgoing, error);
    }
  };
}
