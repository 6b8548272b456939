/** Runs the apps of the samples in memory. */
import { App } from 'millrace';
import type { Topic } from 'millrace';

/** An app of its own in memory. */
export function memoryApp(id: string): App {
  return new App(id, { broker: 'memory:' });
}

/** Starts the app, runs `send`, and stops the app when everything is processed; `look` then sees what is stored. */
export async function runApp(
  app: App,
  send: () => Promise<unknown>,
  look: () => Promise<void>,
): Promise<void> {
  try {
    const running = await app.start();
    await send();
    await running.settled();
    await running.stop();
    await look();
  } finally {
    await app.close();
  }
}

/** Values of a topic, partition by partition. */
export async function valuesOf<V>(topic: Pick<Topic<unknown, V, never>, 'records'>): Promise<V[]> {
  return await Array.fromAsync(topic.records(), ({ value }) => value);
}

/** Rows of a table as an object. */
export async function rowsOf<V>(table: {
  snapshot(): AsyncIterable<[string, V]>;
}): Promise<Record<string, V>> {
  return Object.fromEntries(await Array.fromAsync(table.snapshot()));
}
