/**
 * Runs the microtasks dry, at once.
 *
 * A run of a seed is one synchronous stretch of the event loop: the simulator calls a completion, then everything that follows from it in
 * promises happens within {@link drain}, however long the chain is. So nothing real can come between two steps, and a step costs less than a
 * microsecond, where a turn of the event loop costs two.
 *
 * @module
 */
const tick = (process as unknown as Readonly<Record<string, (() => void) | undefined>>)[
  '_tickCallback'
];

/** Runs `process.nextTick` and microtasks until there are none. Does nothing within a microtask: see {@link fromMacrotask}. */
export const drain: () => void =
  tick ??
  ((): never => {
    throw new Error('this Node.js cannot run its microtasks on demand (process._tickCallback)');
  });

/** Runs `go` where {@link drain} works: directly on the event loop, with no microtask around it. */
export function fromMacrotask<T>(go: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(go());
      } catch (error) {
        reject(error);
      }
    });
  });
}
