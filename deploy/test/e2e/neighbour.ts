// Calls another function without pause while something bad happens beside it.
import { call } from "./api.ts";

export interface Neighbourly<T> {
  value: T;
  served: number;
  /** Every answer that was not 200. */
  bad: string[];
}

export async function withNeighbour<T>(name: string, work: () => Promise<T>, clients = 2): Promise<Neighbourly<T>> {
  let running = true;
  const bad: string[] = [];
  let served = 0;
  async function client(): Promise<void> {
    while (running) {
      const status = await call(name).then(
        async (answer) => (answer.ok ? (await answer.arrayBuffer(), "200") : `${answer.status} ${await answer.text()}`),
        String,
      );
      if (status === "200") served++;
      else bad.push(status);
      await new Promise((resolve) => setTimeout(resolve, 5)); // load enough to notice, and little enough to share two cores
    }
  }
  await call(name); // makes sure that an instance runs
  const all = Array.from({ length: clients }, client);
  try {
    const value = await work();
    return { value, served, bad };
  } finally {
    running = false;
    await Promise.all(all);
  }
}
