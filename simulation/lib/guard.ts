/**
 * Nothing real may take part in a run: while one goes on, the platform's time, chance and timers throw, and I/O that was begun is found at its end.
 *
 * @module
 */
import { Violation } from './violation.ts';

interface Place {
  readonly on: object;
  readonly name: string;
}

const places: readonly Place[] = [
  { on: Date, name: 'now' },
  { on: Math, name: 'random' },
  { on: performance, name: 'now' },
  { on: process, name: 'hrtime' },
  ...['setTimeout', 'setInterval', 'setImmediate', 'fetch'].map((name) => ({
    on: globalThis,
    name,
  })),
  { on: crypto, name: 'randomUUID' },
  { on: crypto, name: 'getRandomValues' },
];

/** Calls `go` with everything real fenced off. @throws Violation when something real was begun. */
export function fenced<T>(go: () => T): T {
  const before = active();
  const kept = places.map(({ on, name }) => Object.getOwnPropertyDescriptor(on, name));
  const { stackTraceLimit } = Error;
  places.forEach(({ on, name }) => {
    Object.defineProperty(on, name, {
      configurable: true,
      writable: true,
      value: () => {
        throw new Violation(
          'simulation',
          `${name} of the platform was called in a simulated process`,
        );
      },
    });
  });
  let result: T;
  try {
    // Errors are made by the thousand, as ends of waits, and nobody looks at where.
    Error.stackTraceLimit = 0;
    result = go();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    places.forEach(({ on, name }, i) => {
      const descriptor = kept[i];
      if (descriptor === undefined) Reflect.deleteProperty(on, name);
      else Object.defineProperty(on, name, descriptor);
    });
  }
  const begun = active();
  if (begun.length > before.length)
    throw new Violation('simulation', `real I/O was begun: ${begun.join(', ')}`);
  return result;
}

function active(): readonly string[] {
  return process.getActiveResourcesInfo();
}
