/** Hostile names are refused with an error of millrace, or are names like any other; in no case do they become files. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, unchecked } from 'millrace';
import { describe, expect, onTestFinished, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { systemClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { systemRandom } from '../../src/core/random.ts';
import { run, SLOW } from '../cli/support.ts';
import { prototypes } from './attack.ts';
import { hostileNames } from './names.ts';

/** A directory deep in another one, so that whoever climbs out of it is seen. */
function nest(): { readonly top: string; readonly url: string } {
  const top = mkdtempSync(join(tmpdir(), 'millrace-names-'));
  onTestFinished(() => rmSync(top, { recursive: true, force: true }));
  return { top, url: `file:${join(top, 'a', 'b', 'data')}` };
}

/** What a broker makes, whatever the names are. */
const EXPECTED = [
  'a',
  'a/b',
  'a/b/data',
  'a/b/data/data.mdb',
  'a/b/data/lock.mdb',
  'a/b/data/sockets',
  'a/b/data/sockets/…',
];

/** Paths below a directory, without the names that sockets draw. */
function paths(top: string): string[] {
  return readdirSync(top, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replace(/sockets.[0-9a-f]{16}$/, 'sockets/…'))
    .toSorted();
}

const context = { clock: systemClock(), random: systemRandom() };

/** How many were taken; the others were refused as they should be. */
async function tried(attempt: (name: string) => unknown): Promise<number> {
  let taken = 0;
  for (const name of hostileNames)
    try {
      await attempt(name);
      taken++;
    } catch (error) {
      if (!MillraceError.is(error)) throw error;
      expect(error.domain).toBe('user');
      expect(error.message.length, 'a long name does not make a long error').toBeLessThan(1_200);
    }
  return taken;
}

async function withBroker(url: string, body: (broker: Broker) => Promise<void>): Promise<void> {
  const broker = await openBroker(url, context);
  try {
    await body(broker);
  } finally {
    await broker.close();
  }
}

test('there are more than 200', () => {
  expect(hostileNames.length).toBeGreaterThan(200);
});

describe('declared', () => {
  test.each<[string, (app: App, name: string) => unknown]>([
    ['apps', (_app, name) => new App(name)],
    ['topics', (app, name) => app.topic(name, { value: unchecked<string>() })],
    ['tables', (app, name) => app.table(name, { default: () => 0 })],
    [
      'agents',
      (app, name) =>
        app.agent(name, app.topic(`t${Math.random()}`.replace('.', ''), {}), async () => {}),
    ],
  ])('%s', async (_, declare) => {
    const before = prototypes();
    const taken = await tried((name) => declare(new App('shop'), name));
    expect(taken).toBeGreaterThan(10);
    expect(taken).toBeLessThan(90);
    expect(prototypes()).toBe(before);
  });
});

test(
  'stored: whatever is taken is a row, and is found by its name alone',
  { timeout: SLOW },
  async () => {
    const { top, url } = nest();
    await withBroker(url, async (broker) => {
      const taken: string[] = [];
      await tried(async (name) => {
        await broker.createTopic({ name, partitions: 1, codec: 'json', role: 'source' });
        taken.push(name);
      });
      expect((await broker.topics()).map(({ name }) => name).toSorted()).toEqual(taken.toSorted());
      for (const name of hostileNames)
        expect((await broker.describeTopic(name))?.name).toBe(
          taken.includes(name) ? name : undefined,
        );
      await broker.createTopic({ name: 'here', partitions: 1, codec: 'json', role: 'source' });
      await tried(async (name) => {
        const builder = new FrameBuilder({ text: true, maxRecordBytes: 1_024 });
        builder.addText(0, null, '1');
        const frame = builder.build();
        await broker.append([{ topic: name, partition: 0, frame }]);
      });
      await tried(async (name) => await broker.openProducer(name));
      await tried(async (name) => await broker.describeGroup(name));
      await tried(async (name) => {
        const member = await broker.join(name, {
          topology: '',
          tasks: [{ id: 'a/0' }],
        });
        await member.leave();
      });
      expect(paths(top)).toEqual(EXPECTED);
    });
  },
);

test('memory brokers', async () => {
  const taken = await tried(async (name) => {
    const broker = await openBroker(`memory:${name}`, context);
    await broker.close();
  });
  expect(taken).toBeLessThan(90);
});

test('on the command line', { timeout: SLOW }, async () => {
  const { top, url } = nest();
  await withBroker(url, async (broker) => {
    await broker.createTopic({ name: 'here', partitions: 1, codec: 'json', role: 'source' });
  });
  const before = paths(top);
  const commands = [['topics'], ['groups'], ['tail'], ['lag'], ['dead-letters', 'list'], ['send']];
  for (const [i, name] of hostileNames.entries()) {
    const command = commands[i % commands.length] as string[];
    const args = [...command, name, ...(command[0] === 'send' ? ['1'] : []), '--broker', url];
    const { status, stdout, stderr } = await run(args);
    const said = stdout + stderr;
    expect(status, `${args.join(' ')}: ${said}`).toBeLessThanOrEqual(2);
    // No other error, and nothing that repaints the terminal.
    expect(said).not.toMatch(/TypeError|RangeError|ENOENT|ENAMETOOLONG/);
    expect(said).not.toContain('\u001b');
  }
  expect(paths(top)).toEqual(before);
});
