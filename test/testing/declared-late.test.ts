import { expect, test } from 'vitest';
import { App } from '../../src/app/app.ts';
import { unchecked } from '../../src/codec/schema.ts';
import { TestApp } from '../../src/testing/test-app.ts';

test('what is declared when a test drives the app is refused, as it is of an app that runs', async () => {
  const app = new App('late', { broker: 'memory:' });
  const topic = app.topic('numbers', { value: unchecked<number>() });
  topic.stream().sink(() => undefined);
  await using driven = await TestApp.start(app);
  const late = { code: 'MR_ARGUMENT_INVALID', message: expect.stringContaining('before start()') };
  expect(() => topic.stream().map((x) => x + 1)).toThrow(expect.objectContaining(late));
  expect(() => app.table('rows', { default: () => 0 })).toThrow(expect.objectContaining(late));
  await driven.settled();
});
