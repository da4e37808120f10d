// Node listeners `(req, res)`: called as they are; only what they throw or reject is caught.
import type { RequestListener } from "node:http";
import { answerFailure } from "./failures.ts";

export function serveListener(handler: RequestListener): RequestListener {
  return (incoming, outgoing) => {
    try {
      const result: unknown = handler(incoming, outgoing);
      if (result instanceof Promise) result.catch((error: unknown) => answerFailure(outgoing, error));
    } catch (error) {
      answerFailure(outgoing, error);
    }
  };
}
