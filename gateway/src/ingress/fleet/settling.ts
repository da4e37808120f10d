// Asks an instance whether it lives, and when the handler of a request has ended whose connection was cut (runtime protocol, `health` and
// `settled`): until then the request's slot is taken.
import type { Dispatcher } from "undici";
import { INVOCATION_HEADERS, PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import type { Connection } from "./connection.ts";

/** `late`: no answer in time. `broken`: it takes no connection, or closed this one without an answer. */
export type Answered = "answered" | "late" | "broken";

/** Answered when the handler of this exchange has ended; waits at most `ms`. Never rejects. */
export const askSettled = (connection: Connection, exchange: string, ms: number): Promise<Answered> =>
  ask(connection, PROTOCOL_PATHS.settled, ms, [INVOCATION_HEADERS.exchange, exchange]);

/** Answered by an instance that lives, whatever runs in it. */
export const askAlive = (connection: Connection, ms: number): Promise<Answered> => ask(connection, PROTOCOL_PATHS.health, ms, []);

function ask(connection: Connection, path: string, ms: number, fields: string[]): Promise<Answered> {
  return new Promise((resolve) => {
    connection.dispatch({ path, method: "GET", headers: ["host", "fnctl", ...fields] }, new Asking(resolve, ms));
  });
}

class Asking implements Dispatcher.DispatchHandler {
  private readonly resolve: (answered: Answered) => void;
  private readonly timer: NodeJS.Timeout;
  private controller: Dispatcher.DispatchController | undefined = undefined;
  private isOver = false;

  constructor(resolve: (answered: Answered) => void, ms: number) {
    this.resolve = resolve;
    this.timer = setTimeout(onLate, ms, this);
  }
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.isOver) controller.abort(ENOUGH);
  }
  /** Any answer will do, because an instance of an earlier release does not know the question; nothing of its body is read. */
  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    this.over("answered"); // first, because an abort is an error, too
    if (status !== 204) controller.abort(ENOUGH);
  }
  onResponseEnd(): void {
    this.over("answered");
  }
  onResponseData(): void {}
  onResponseError(): void {
    this.over("broken");
  }
  late(): void {
    this.over("late");
    this.controller?.abort(ENOUGH);
  }
  private over(answered: Answered): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.timer);
    this.resolve(answered);
  }
}

const onLate = (asking: Asking): void => asking.late();
const ENOUGH = new Error("enough");
