// One piece of work after the other. Work of one name that has not begun yet is done once, however often it is asked for.

export function createTurns() {
  const waiting = new Map<string, Promise<void>>();
  let tail: Promise<void> = Promise.resolve();
  return {
    inTurn(name: string, work: () => Promise<void>): Promise<void> {
      const known = waiting.get(name);
      if (known !== undefined) return known;
      const turn = tail.then(() => {
        waiting.delete(name);
        return work();
      });
      waiting.set(name, turn);
      tail = turn.catch(() => undefined);
      return turn;
    },
    /** Resolves when all that was asked for before has been done or has failed. */
    done: (): Promise<void> => tail,
  };
}
