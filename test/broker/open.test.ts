/** URLs of brokers: what they open, and what is refused without telling secrets. */
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { realContext, withDirectory } from './log-over.ts';

describe('file:', () => {
  test('relative, absolute and proper URLs open the same directory', async () => {
    await withDirectory(async (parent) => {
      const directory = join(parent, 'with space', 'data');
      const urls = [
        `file:${directory}`,
        `file:${relative('.', directory)}`,
        `file:./${relative('.', directory)}`,
        `file://${directory.replace(' ', '%20')}`,
        `FILE:${directory}`,
      ];
      for (const [i, url] of urls.entries()) {
        const broker = await openBroker(url, realContext());
        try {
          expect(broker.url).toBe(url);
          expect(broker.capabilities).toEqual({ exactlyOnce: true, durable: true });
          expect(await broker.topics()).toHaveLength(i);
          await broker.createTopic({ name: `t${i}`, partitions: 1, codec: 'utf8', role: 'source' });
        } finally {
          await broker.close();
        }
      }
      expect(statSync(directory).mode & 0o777).toBe(0o700);
    });
  });

  test.each(['file:', 'file:a\0b', 'file://host/dir', 'file:///a?b', 'file:///a#b', 'file:///%'])(
    '%j is refused',
    async (url) => {
      await expect(openBroker(url, realContext())).rejects.toMatchObject({
        code: 'MR_URL_INVALID',
      });
    },
  );

  test('a file in the way', async () => {
    await withDirectory(async (parent) => {
      writeFileSync(join(parent, 'file'), '');
      for (const path of ['file', 'file/below'])
        await expect(openBroker(`file:${join(parent, path)}`, realContext())).rejects.toMatchObject(
          { code: 'MR_PERMISSION' },
        );
    });
  });

  test('a place without permission', async () => {
    await withDirectory(async (parent) => {
      // Loads the driver, which another user might not be allowed to read.
      await (await openBroker(`file:${join(parent, 'mine')}`, realContext())).close();
      chmodSync(parent, 0o755);
      const locked = join(parent, 'locked');
      mkdirSync(locked, { mode: 0o555 });
      await asOrdinaryUser(async () => {
        for (const directory of [locked, join(locked, 'below'), join(parent, 'mine')])
          await expect(openBroker(`file:${directory}`, realContext())).rejects.toMatchObject({
            code: 'MR_PERMISSION',
            domain: 'external',
          });
      });
    });
  });
});

describe('other URLs', () => {
  test.each([
    ['kafka://user:secret@host:9092?password=secret', /kafka:\/\/ is not part of this version/],
    ['mongodb+srv://user:secret@host/db', /mongodb\+srv:\/\/ is not part of this version/],
    ['redis://:secret@host', /no broker that millrace knows/],
    ['secret', /no broker that millrace knows/],
    ['', /no broker that millrace knows/],
  ])('%s', async (url, why) => {
    const error: unknown = await openBroker(url, realContext()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'MR_URL_INVALID' });
    const { message, details } = error as { message: string; details: unknown };
    expect(message).toMatch(why);
    expect(message).toContain('file:./directory or memory:name');
    if (url.includes('@')) expect(message + JSON.stringify(details)).not.toContain('secret');
  });

  test('names of memory brokers are names', async () => {
    await expect(openBroker('memory:../x', realContext())).rejects.toMatchObject({
      code: 'MR_NAME_INVALID',
    });
  });

  test('nothing is created for a URL that is refused', async () => {
    await withDirectory(async (parent) => {
      const directory = join(parent, 'data');
      await openBroker(`fil:${directory}`, realContext()).catch(() => undefined);
      expect(existsSync(directory)).toBe(false);
    });
  });
});

/** The administrator may write everywhere, so a test that runs as one becomes somebody else for a while. */
async function asOrdinaryUser(body: () => Promise<void>): Promise<void> {
  const mustChange = process.geteuid?.() === 0;
  if (mustChange) process.seteuid?.(65_534);
  try {
    await body();
  } finally {
    if (mustChange) process.seteuid?.(0);
  }
}
