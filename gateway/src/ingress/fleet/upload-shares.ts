// A body that is streamed holds its slot until it is there, and its client decides how long that takes. So one address may have no more than
// half of a function's slots taken by requests with such bodies.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";

type Slots = Pick<Route, "functionId" | "max" | "concurrency">;

export class UploadShares {
  private readonly open = new Map<string, number>();

  /** Returns what ends it, to be called once. Throws RATE_LIMITED. `address` undefined: of many clients that nobody tells apart. */
  begin({ functionId, max, concurrency }: Slots, address: string | undefined): () => void {
    if (address === undefined) return () => undefined;
    const key = `${functionId} ${address}`;
    const most = Math.max(1, Math.floor((max * concurrency) / 2));
    const count = this.open.get(key) ?? 0;
    if (count >= most)
      throw new PlatformError(
        "RATE_LIMITED",
        `This address sends ${most} large bodies to the function already, which is half of what it takes.`,
        {
          hint: "Send fewer at a time; bodies of up to 64 KiB with a Content-Length do not count.",
        },
      );
    this.open.set(key, count + 1);
    return () => this.end(key);
  }
  private end(key: string): void {
    const left = (this.open.get(key) ?? 1) - 1;
    if (left === 0) this.open.delete(key);
    else this.open.set(key, left);
  }
}
