/** A password in the URL of a broker is in nothing that millrace writes or throws. */
import { inspect } from 'node:util';

import { App } from 'millrace';
import { describe, expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { verifyDirectory } from '../../src/broker/verify.ts';
import { systemClock, VirtualClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { createLogger } from '../../src/log/logger.ts';
import { run, SLOW, withDirectory, writeModule } from '../cli/support.ts';

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
  return [shown, JSON.stringify(value), ...parts].join('\n');
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
