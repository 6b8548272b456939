/** An app on a disk that runs full: sends are refused, the worker waits, and both go on when there is space again. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { App, unchecked } from '../../src/index.ts';
import type { AppOptions, Logger, Table, Topic } from '../../src/index.ts';
import { SmallDisk } from './small-disk.ts';

const MEBIBYTES = 24;
const probe = SmallDisk.mount(MEBIBYTES);
probe?.unmount();

interface Blob {
  readonly n: number;
  readonly filling: string;
}

interface Copier {
  readonly app: App;
  readonly source: Topic<string, Blob>;
  readonly copies: Topic<string | null, Blob>;
  readonly counts: Table<string, number, number>;
}

/** Counts blobs per key and sends larger copies on. */
function copier(disk: SmallDisk, options: AppOptions = {}): Copier {
  const app = new App('copier', { broker: `file:${disk.path}/data`, ...options });
  const source = app.topic('source', { key: unchecked<string>(), value: unchecked<Blob>() });
  const copies = app.topic('copies', { value: unchecked<Blob>() });
  const counts = app.table('counts', { default: () => 0 });
  source.stream().update(counts, (n) => n + 1);
  source
    .stream()
    .map(({ n }) => ({ n, filling: 'y'.repeat(40_000) }))
    .sink(copies);
  return { app, source, copies, counts };
}

const keyOf = (n: number): string => `k${n % 7}`;

async function numbers(topic: Topic<never, Blob, never>): Promise<number[]> {
  const found: number[] = [];
  for await (const { value } of topic.records()) found.push(value.n);
  return found.toSorted((a, b) => a - b);
}

/** The source holds `sent`, each was copied once and counted once. */
async function expectExact({ source, copies, counts }: Copier, sent: number[]): Promise<void> {
  expect(await numbers(source as unknown as Topic<never, Blob, never>)).toEqual(sent);
  expect(await numbers(copies as unknown as Topic<never, Blob, never>)).toEqual(sent);
  const wanted = new Map<string, number>();
  for (const n of sent) wanted.set(keyOf(n), (wanted.get(keyOf(n)) ?? 0) + 1);
  expect(new Map(await Array.fromAsync(counts.snapshot()))).toEqual(wanted);
}

const refusal = { code: 'MR_DISK_FULL', retryable: true, domain: 'external' };

describe.skipIf(probe === undefined)('a full disk (needs the right to mount)', () => {
  let disk: SmallDisk;
  let copying: Copier | undefined;

  beforeEach(() => {
    disk = SmallDisk.mount(MEBIBYTES) as SmallDisk;
  });

  afterEach(async () => {
    disk.free();
    await copying?.app.close();
    copying = undefined;
    disk.unmount();
  });

  test('sends are refused, and taken again when there is space', async () => {
    copying = copier(disk);
    const { app, source } = copying;
    const sent: number[] = [];
    let n = 0;
    const send = async (size: number): Promise<void> => {
      const sending = n++;
      await source.send({ n: sending, filling: 'x'.repeat(size) }, { key: keyOf(sending) });
      sent.push(sending);
    };
    await send(10);
    disk.fill();
    let refused: unknown;
    while (refused === undefined && n < 1_000)
      await send(100_000).catch((error: unknown) => (refused = error));
    expect(refused).toMatchObject(refusal);
    // Not only the first one, and not only when sent alone.
    expect(await Promise.allSettled([send(100_000), send(100_000)])).toMatchObject([
      { reason: refusal },
      { reason: refusal },
    ]);
    disk.free();
    for (let more = 0; more < 20; more++) await send(1_000);
    const running = await app.start();
    await running.settled();
    await running.stop();
    await expectExact(copying, sent);
  });

  test('a producer fails, and its successor continues where it came to', async () => {
    copying = copier(disk);
    const { app, source } = copying;
    const load = async (to: number): Promise<void> => {
      const producer = await source.producer<number>({ id: 'loader', batch: 10 });
      for (let n = producer.position ?? 0; n < to; n++)
        await producer.send({ n, filling: 'x'.repeat(5_000) }, { key: keyOf(n), position: n + 1 });
      await producer.close();
    };
    await load(50);
    disk.fill();
    await expect(load(1_000)).rejects.toMatchObject(refusal);
    disk.free();
    await load(200);
    const running = await app.start();
    await running.settled();
    await running.stop();
    await expectExact(
      copying,
      Array.from({ length: 200 }, (_, n) => n),
    );
  });

  test('the worker stays, warns and tries again until its commits succeed', async () => {
    const warnings: string[] = [];
    let warned: () => void = () => undefined;
    const triedThrice = new Promise<void>((resolve) => {
      warned = resolve;
    });
    copying = copier(disk, {
      logger: loggerOf((message) => {
        warnings.push(message);
        if (message.includes('trying again in 400 ms')) warned();
      }),
    });
    const { app, source } = copying;
    const sent = Array.from({ length: 200 }, (_, n) => n);
    await Promise.all(
      sent.map((n) => source.send({ n, filling: 'x'.repeat(100) }, { key: keyOf(n) })),
    );
    const running = await app.start();
    // The worker has not moved yet.
    disk.fill();
    let ended = false;
    running.done.finally(() => (ended = true)).catch(() => undefined);
    await triedThrice;
    expect(ended).toBe(false);
    for (const warning of warnings)
      expect(warning).toMatch(/^\S+\/\d: the disk of .* is full.*; trying again in \d+ ms/u);
    await expect(
      source.send({ n: 200, filling: 'x'.repeat(200_000) }, { key: keyOf(200) }),
    ).rejects.toMatchObject(refusal);
    expect(running.stats.committed).toBeLessThan(200);
    disk.free();
    await running.settled();
    await source.send({ n: 200, filling: '' }, { key: keyOf(200) });
    await running.settled();
    expect(running.stats.committed).toBe(201);
    await running.stop();
    await expectExact(copying, [...sent, 200]);
  });

  test('the worker gives up after retryFor, and the next one loses nothing', async () => {
    copying = copier(disk, { logger: loggerOf(() => undefined), commit: { retryFor: 1 } });
    const { app, source } = copying;
    const sent = Array.from({ length: 200 }, (_, n) => n);
    await Promise.all(
      sent.map((n) => source.send({ n, filling: 'x'.repeat(100) }, { key: keyOf(n) })),
    );
    const running = await app.start();
    disk.fill();
    await expect(running.done).rejects.toMatchObject(refusal);
    disk.free();
    const again = await app.start();
    await again.settled();
    await again.stop();
    await expectExact(copying, sent);
  });
});

/** A logger whose warnings and errors go to `tell`. */
function loggerOf(tell: (message: string) => void): Logger {
  const line = (_fields: unknown, message: string): void => tell(message);
  return { debug: () => undefined, info: () => undefined, warn: line, error: line };
}
