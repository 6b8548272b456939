/**
 * A small app for tests of whole processes: an agent sums numbers per key, then passes on their doubles.
 *
 * `trouble` makes it stick, spin without end or throw at the number 13, when it has updated its table and yielded already.
 */
import { App, unchecked } from 'millrace';
import type { AppOptions, Table, Topic } from 'millrace';

export type Trouble = 'stick' | 'spin' | 'throw' | 'none';

export interface NumbersApp {
  readonly app: App;
  readonly numbers: Topic<string, number>;
  readonly doubles: Topic<string | null, number>;
  readonly sums: Table<string, number, number>;
}

/** `say` hears everything that the agent has yielded, `did <double>`, committed or not, and `stuck`. */
export function numbersApp(
  directory: string,
  trouble: Trouble = 'none',
  options: AppOptions = {},
  say: (line: string) => void = () => undefined,
): NumbersApp {
  const app = new App('numbers', { broker: `file:${directory}`, ...options });
  const numbers = app.topic('numbers', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: 2,
  });
  const doubles = app.topic('doubles', { value: unchecked<number>(), partitions: 2 });
  const sums = app.table('sums', { default: () => 0 });
  app.agent(
    'double',
    numbers,
    async function* (stream) {
      for await (const [key, n] of stream.items()) {
        sums.update(key, (sum) => sum + n);
        yield n * 2;
        if (n !== 13 || trouble === 'none') continue;
        if (trouble === 'throw') throw new Error('thirteen is too many');
        say('stuck');
        for (; trouble === 'spin';);
        await new Promise(() => undefined);
      }
    },
    { sinks: [doubles, (double) => say(`did ${double}`)] },
  );
  return { app, numbers, doubles, sums };
}
