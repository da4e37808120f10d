// Asks an instance when the handler of a request has ended whose connection was cut (runtime protocol, `settled`). Until then its slot is
// taken; and how the question fares shows whether it is the instance that broke or one answer of it.
import type { Dispatcher } from "undici";
import { INVOCATION_HEADERS, PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import type { Connection } from "./connection.ts";

/** `late`: no answer in time. `broken`: it takes no connection, or closed this one without an answer. */
export type Settled = "settled" | "late" | "broken";

/** `ms`: how long the answer is waited for. Never rejects. */
export function askSettled(connection: Connection, exchange: string, ms: number): Promise<Settled> {
  return new Promise((resolve) => {
    const asking = new Asking(resolve, ms);
    const headers = ["host", "fnctl", INVOCATION_HEADERS.exchange, exchange];
    connection.dispatch({ path: PROTOCOL_PATHS.settled, method: "GET", headers }, asking);
  });
}

class Asking implements Dispatcher.DispatchHandler {
  private readonly resolve: (settled: Settled) => void;
  private readonly timer: NodeJS.Timeout;
  private controller: Dispatcher.DispatchController | undefined = undefined;
  private isOver = false;

  constructor(resolve: (settled: Settled) => void, ms: number) {
    this.resolve = resolve;
    this.timer = setTimeout(onLate, ms, this);
  }
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.isOver) controller.abort(ENOUGH);
  }
  /** Any answer will do, because an instance of an earlier release does not know the question; nothing of its body is read. */
  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status !== 204) controller.abort(ENOUGH);
    this.over("settled");
  }
  onResponseEnd(): void {
    this.over("settled");
  }
  onResponseData(): void {}
  onResponseError(): void {
    this.over("broken");
  }
  late(): void {
    this.over("late");
    this.controller?.abort(ENOUGH);
  }
  private over(settled: Settled): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.timer);
    this.resolve(settled);
  }
}

const onLate = (asking: Asking): void => asking.late();
const ENOUGH = new Error("enough");
