/** A password in the URL of a broker is in nothing that millrace writes or throws. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { App, deadLetter, unchecked } from 'millrace';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { verifyDirectory } from '../../src/broker/verify.ts';
import { systemClock, VirtualClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { createLogger } from '../../src/log/logger.ts';
import { millrace, run, SLOW, withDirectory, writeModule } from '../cli/support.ts';

const CANARY = 'c4nary';

/** Every place of a URL that may hold a secret, in every scheme that somebody may try. */
const URLS: readonly string[] = [
  ...[
    'kafka',
    'mongodb',
    'mongodb+srv',
    'redis',
    'postgres',
    'https',
    'nats',
    'FILE',
    'file',
    'memory',
  ].flatMap((scheme) => [
    `${scheme}://user:${CANARY}@host/db`,
    `${scheme}://${CANARY}@host`,
    `${scheme}://user:${CANARY}@host:99999999/db`,
    `${scheme}://user:${CANARY}/with@slash@host/db`,
    `${scheme}://user:${CANARY}%zz@host/db`,
    `${scheme}://user:${CANARY}#?@host/db`,
    `${scheme}://host/db?password=${CANARY}`,
    `${scheme}://host/db#${CANARY}`,
    `${scheme}://host/db?user=a@b&password=${CANARY}`,
  ]),
  ...['kafka', 'memory'].flatMap((scheme) => [
    `${scheme}:user:${CANARY}@host`,
    `${scheme}:name?password=${CANARY}`,
    `${scheme}:name#${CANARY}`,
  ]),
  `file:///data?password=${CANARY}`,
  `file:///data#${CANARY}`,
  `user:${CANARY}@host`,
  `//user:${CANARY}@host`,
];

/** All that can be read of a value: as Node prints it, as JSON, and what an error is made of. */
function everything(value: unknown): string {
  const shown = inspect(value, {
    depth: 20,
    showHidden: true,
    getters: true,
    maxArrayLength: null,
  });
  const parts = value instanceof Error ? [value.message, value.stack, everything(value.cause)] : [];
  return [shown, String(value), asJson(value), ...parts].join('\n');
}

function asJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    return String(error);
  }
}

async function thrownBy(body: () => unknown): Promise<unknown> {
  try {
    return await body();
  } catch (error) {
    return error;
  }
}

/** In plain JavaScript any text can be given. */
function appOn(url: string): App {
  const app = new App('shop', { broker: url as 'file:./data' });
  app
    .topic('orders', {})
    .stream()
    .tap(() => {});
  return app;
}

const context = { clock: systemClock(), random: systemRandom() };

describe.each(URLS)('%s', (url) => {
  test('errors of brokers and of apps', async () => {
    for (const error of [
      await thrownBy(async () => await openBroker(url, context)),
      await thrownBy(async () => await verifyDirectory(url, context)),
      await thrownBy(async () => await appOn(url).start()),
    ]) {
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ code: 'MR_URL_INVALID' });
      expect(everything(error)).not.toContain(CANARY);
    }
  });

  test('an app, and its topology', () => {
    const app = appOn(url);
    const shown = [
      everything(app),
      app.topology('text'),
      app.topology('json'),
      app.topology('mermaid'),
    ];
    expect(shown.join('\n')).not.toContain(CANARY);
  });

  test('log lines', async () => {
    const error = await thrownBy(async () => await openBroker(url, context));
    for (const format of ['json', 'pretty'] as const) {
      let text = '';
      const stream = { write: (line: string) => void (text += line) };
      const logger = await createLogger({ clock: new VirtualClock(), format, stream });
      logger.error({ error, at: [error], broker: { error } }, 'cannot be opened');
      // In texts of others only what begins as a URL can be known for one.
      if (url.includes('://') && !url.startsWith('//'))
        logger.warn(
          { url, [url]: [url], error: new Error(`no ${url}`) },
          `cannot open ${url}, (${url}).`,
        );
      expect(text).toContain('cannot be opened');
      expect(text).not.toContain(CANARY);
    }
  });
});

test('commands, with the URL as an option and in a module', { timeout: SLOW }, async () => {
  await withDirectory(async (directory) => {
    for (const [i, url] of URLS.entries()) {
      const module = writeModule(
        directory,
        `export const app = new App('shop', { broker: ${JSON.stringify(url)} });\napp.topic('orders', {}).stream().tap(() => {});`,
        `app${i}.ts`,
      );
      const said: string[] = [];
      for (const args of [
        ['topics', '--broker', url],
        ['verify', '--here', '--broker', url],
        ['backup', directory, '--broker', url],
        ['compact', '--broker', url],
        ['send', 'orders', '1', '--broker', url],
        ['groups', '--module', module],
        ['topology', module],
      ]) {
        const json =
          args[0] === 'send' || args[0] === 'backup' || args[0] === 'compact' ? [] : ['--json'];
        const { stdout, stderr } = await run([...args, ...(args[0] === 'topology' ? [] : json)]);
        said.push(`${args.join(' ')}:`.replaceAll(url, 'URL'), stdout, stderr);
      }
      // Frames of this test's own stack are not what is printed.
      expect(said.join('\n'), url).not.toContain(CANARY);
    }
  });
});

/** One URL for each place of a secret. */
const KAFKA = URLS.filter((url) => /^kafka:|^user|^\/\//.test(url));
const CHANNELS = ['millrace:commit', 'millrace:worker', 'millrace:tasks', 'millrace:job'];

/** Has the app work on a log in memory, as if its URL named one, and returns all that can be read meanwhile. */
async function shownBy(url: string): Promise<string> {
  const shown: string[] = [];
  const note = (value: unknown): void => void shown.push(everything(value));
  const metrics = (message: unknown, name: string | symbol): void => note([name, message]);
  for (const name of CHANNELS) subscribe(name, metrics);
  const stream = { write: (line: string) => void shown.push(line) };
  const logger = await createLogger({ level: 'debug', format: 'json', stream });
  const broker = await openBroker('memory:', context);
  const app = new App('shop', {
    ...{ broker: url as 'file:./data', logger },
    onError: deadLetter('failed'),
  });
  app['~replace']({ open: () => Promise.resolve(broker) });
  const orders = app.topic('orders', { key: unchecked<string>(), value: unchecked<number>() });
  const sums = app.table('sums', { default: () => 0 });
  orders.stream().update(sums, (sum, n) => {
    if (n < 0) throw new Error('less than nothing');
    return sum + n;
  });
  app.timer('1h', () => {});
  try {
    const running = await app.start();
    for (const n of [1, -1, 2]) await orders.send(n, { key: 'a' });
    await running.settled();
    for (const each of [app, running, running.stats, orders, sums, broker, broker.state])
      note(each);
    note(await broker.describeGroup('shop'));
    note(await Array.fromAsync(sums.snapshot()));
    note(app.topology());
    const partitions = (await broker.describeTopic('failed'))?.partitions ?? 0;
    for (let partition = 0; partition < partitions; partition++) {
      const letters = await broker.reader('failed', partition, 0).next();
      note(letters?.bytes.toString());
    }
    for (const misuse of [
      () => app.topic('late', {}),
      () => app.start(),
      () => orders.send(1n as never, { key: 'a' }),
      () => sums.get('a'),
      () => broker.createTopic({ name: '..', partitions: 1, codec: 'json', role: 'source' }),
      () => broker.reader('none', 0, 0),
    ])
      note(await thrownBy(misuse));
    await running.stop();
  } finally {
    await app.close();
    for (const name of CHANNELS) unsubscribe(name, metrics);
  }
  for (const misuse of [() => orders.send(1, { key: 'a' }), () => broker.topics()])
    note(await thrownBy(misuse));
  return shown.join('\n');
}

test.each(KAFKA)('an app that runs, its metrics and its errors: %s', async (url) => {
  const shown = await shownBy(url);
  for (const seen of ['millrace:commit', 'millrace:tasks', 'less than nothing', 'MR_CLOSED'])
    expect(shown).toContain(seen);
  expect(shown).not.toContain(CANARY);
});

describe('MILLRACE_BROKER', () => {
  afterEach(() => void vi.unstubAllEnvs());

  test('is in nothing that commands print', { timeout: SLOW }, async () => {
    await withDirectory(async (directory) => {
      const target = join(directory, 'copy');
      for (const url of URLS) {
        vi.stubEnv('MILLRACE_BROKER', url);
        const said: string[] = [];
        for (const args of [
          ['topics'],
          ['topics', '--help'],
          ['groups', '--json'],
          ['lag', 'shop'],
          ['tail', 'orders'],
          ['send', 'orders', '1'],
          ['verify'],
          ['verify', '--here', '--json'],
          ['backup', target],
          ['compact'],
          ['dead-letters', 'list', 'failed'],
          ['resend', 'failed', '--to', 'orders'],
          ['topics', '--no-such-option'],
          ['no-such-command'],
          ['help', 'topics'],
          ['completion', 'bash'],
        ]) {
          const { stdout, stderr } = await run(args);
          said.push(stdout, stderr);
        }
        expect(said.join('\n'), url).not.toContain(CANARY);
        if (!url.startsWith('memory:')) expect(said.join('\n')).toContain('MR_URL_INVALID');
      }
    });
  });

  test(
    'is in nothing that a program prints, not even when it fails',
    { timeout: SLOW },
    async () => {
      await withDirectory(async (directory) => {
        const module = writeModule(
          directory,
          `export const app = new App('shop', { broker: 'file:${directory}/data' });
        app.topic('orders', {}).stream().tap(() => {});
        if (process.argv.includes('fail')) throw new Error('the module fails');`,
        );
        const env = { MILLRACE_BROKER: `kafka://user:${CANARY}@host/db?password=${CANARY}` };
        const said: string[] = [];
        for (const args of [
          ['topics'],
          ['topology', module],
          ['topology', module, 'fail'],
          ['verify'],
        ]) {
          const { stdout, stderr } = await millrace(args, { cwd: directory, env });
          said.push(stdout, stderr);
        }
        expect(said.join('\n')).toContain('MR_URL_INVALID');
        expect(said.join('\n')).not.toContain(CANARY);
      });
    },
  );
});
