// Steps that many requests of all tenants take together: what one of them throws stops none of the others.
export function eachOf<T>(all: readonly T[], step: (one: T) => void): void {
  const thrown: unknown[] = [];
  for (const one of all) {
    try {
      step(one);
    } catch (error) {
      thrown.push(error);
    }
  }
  if (thrown.length > 0) throw thrown[0];
}
