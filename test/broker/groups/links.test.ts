/** Links in one process and links by sockets keep the same contract; sockets have a directory to look after, too. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';

import type { Link, LinkEnd, Links } from '../../../src/broker/groups/links.ts';
import { LocalHub } from '../../../src/broker/groups/local-links.ts';
import { socketLinks } from '../../../src/broker/groups/sockets.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { systemRandom } from '../../../src/core/random.ts';

/** An end that keeps what it gets, and lets a test wait for it. */
class Inbox implements LinkEnd {
  readonly messages: string[] = [];
  link: Link | undefined;
  ended = 0;
  #wake = (): void => {};

  received(message: Buffer): void {
    if (message.toString() === 'throw') throw new Error('refused');
    this.messages.push(message.length > 100 ? `${message.length} bytes` : message.toString());
    this.#wake();
  }

  closed(): void {
    this.ended++;
    this.#wake();
  }

  readonly accept = (link: Link): this => {
    this.link = link;
    this.#wake();
    return this;
  };

  async until(done: () => boolean): Promise<void> {
    while (!done())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}

const directories: string[] = [];

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-links-'));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0))
    rmSync(directory, { recursive: true, force: true });
});

function socketsIn(directory: string): Links {
  const links = socketLinks({ directory, clock: systemClock(), random: systemRandom() });
  onTestFinished(async () => await links.close());
  return links;
}

describe.each<[string, () => () => Links]>([
  [
    'local',
    () => {
      const hub = new LocalHub();
      return () => hub.open();
    },
  ],
  [
    'sockets',
    () => {
      const directory = scratch();
      return () => socketsIn(directory);
    },
  ],
])('%s', (_, meeting) => {
  const pair = async (): Promise<{ near: Inbox; far: Inbox; server: Links; client: Links }> => {
    const open = meeting();
    const [server, client] = [open(), open()];
    const [near, far] = [new Inbox(), new Inbox()];
    const address = await server.listen(far.accept);
    expect(await client.connect(address, near.accept)).toBe(near.link);
    await far.until(() => far.link !== undefined);
    return { near, far, server, client };
  };

  test('messages arrive whole, in order, both ways', async () => {
    const { near, far } = await pair();
    const texts = Array.from({ length: 200 }, (_unused, i) => `m${i}`);
    for (const text of ['', ...texts]) expect(near.link?.send(Buffer.from(text))).toBe(true);
    await far.until(() => far.messages.length === 201);
    expect(far.messages).toEqual(['', ...texts]);
    far.link?.send(Buffer.alloc(4 * 1024 * 1024));
    far.link?.send(Buffer.from('after'));
    await near.until(() => near.messages.length === 2);
    expect(near.messages).toEqual(['4194304 bytes', 'after']);
    expect(near.link?.send(Buffer.alloc(4 * 1024 * 1024 + 4097))).toBe(false);
  });

  test('what was sent may be changed afterwards', async () => {
    const { near, far } = await pair();
    const bytes = Buffer.from('before');
    near.link?.send(bytes);
    bytes.fill(0);
    await far.until(() => far.messages.length > 0);
    expect(far.messages).toEqual(['before']);
  });

  test('a link ends for both, after what was sent', async () => {
    const { near, far } = await pair();
    near.link?.send(Buffer.from('last'));
    await far.until(() => far.messages.length > 0);
    near.link?.close();
    near.link?.close();
    await far.until(() => far.ended > 0);
    await near.until(() => near.ended > 0);
    expect(far.link?.send(Buffer.from('too late'))).toBe(false);
    expect(near.link?.send(Buffer.from('too late'))).toBe(false);
    expect([near.ended, far.ended, far.messages]).toEqual([1, 1, ['last']]);
  });

  test('a link whose message is refused is dropped, its neighbours are not', async () => {
    const { near, far, client, server } = await pair();
    const other = new Inbox();
    await client.connect(await server.listen(far.accept), other.accept);
    near.link?.send(Buffer.from('throw'));
    near.link?.send(Buffer.from('behind it'));
    await near.until(() => near.ended > 0);
    expect(other.link?.send(Buffer.from('well'))).toBe(true);
    await far.until(() => far.messages.length > 0);
    expect(far.messages).toEqual(['well']);
  });

  test('nobody listens at an address that was closed, or given up for another', async () => {
    const open = meeting();
    const [server, client] = [open(), open()];
    const inbox = new Inbox();
    const first = await server.listen(inbox.accept);
    const link = await client.connect(first, new Inbox().accept);
    const second = await server.listen(inbox.accept);
    expect(second).not.toBe(first);
    expect(await client.connect(first, new Inbox().accept)).toBeUndefined();
    expect(link?.send(Buffer.from('still open'))).toBe(true);
    await inbox.until(() => inbox.messages.length > 0);
    const end = new Inbox();
    expect(await client.connect(second, end.accept)).toBeDefined();
    await server.close();
    await server.close();
    await end.until(() => end.ended > 0);
    expect(await client.connect(second, new Inbox().accept)).toBeUndefined();
    await expect(server.listen(inbox.accept)).rejects.toMatchObject({ code: 'MR_CLOSED' });
    await expect(server.connect(second, inbox.accept)).rejects.toMatchObject({ code: 'MR_CLOSED' });
  });
});

describe('sockets only', () => {
  test('their directory is for this user alone, and empty at the end', async () => {
    const directory = scratch();
    const links = socketsIn(directory);
    expect(await links.listen(new Inbox().accept)).toMatch(/^dir:[0-9a-f]{16}$/);
    expect(statSync(join(directory, 'sockets')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(directory, 'sockets'))).toHaveLength(1);
    await links.close();
    expect(readdirSync(join(directory, 'sockets'))).toEqual([]);
  });

  test('a directory with a long path has its sockets elsewhere', async () => {
    const directory = join(scratch(), 'x'.repeat(100));
    mkdirSync(directory);
    const [server, client] = [socketsIn(directory), socketsIn(directory)];
    const address = await server.listen(new Inbox().accept);
    expect(address).toMatch(/^tmp:.*\/millrace-\d+-[0-9a-f]{16}\/[0-9a-f]{16}$/);
    const elsewhere = address.slice(4, address.lastIndexOf('/'));
    directories.push(elsewhere);
    expect(statSync(elsewhere).mode & 0o777).toBe(0o700);
    expect(await client.connect(address, new Inbox().accept)).toBeDefined();
    await server.close();
    // A process that sees another directory of temporary files would not find it either.
    await expect(client.connect(address, new Inbox().accept)).rejects.toMatchObject({
      code: 'MR_IO',
    });
  });

  test('a directory that others could reach into is not used', async () => {
    const directory = join(scratch(), 'y'.repeat(100));
    mkdirSync(directory);
    const links = socketsIn(directory);
    const address = await links.listen(new Inbox().accept);
    const elsewhere = address.slice(4, address.lastIndexOf('/'));
    directories.push(elsewhere);
    chmodSync(elsewhere, 0o755);
    await expect(socketsIn(directory).listen(new Inbox().accept)).rejects.toThrow(
      'this user alone',
    );
    await links.close();
    rmSync(elsewhere, { recursive: true });
    symlinkSync(scratch(), elsewhere);
    await expect(socketsIn(directory).listen(new Inbox().accept)).rejects.toThrow(
      'this user alone',
    );
  });

  test('sockets that nobody listens to any more are removed', async () => {
    const directory = scratch();
    const inside = join(directory, 'sockets');
    mkdirSync(inside, { mode: 0o700 });
    const old = new Date(Date.now() - 3_600_000);
    const left = (name: string): string => {
      const path = join(inside, name);
      writeFileSync(path, '');
      utimesSync(path, old, old);
      return path;
    };
    const stale = left('00000000deadbeef');
    const foreign = left('not-a-socket');
    const young = join(inside, '00000000cafecafe');
    writeFileSync(young, '');
    const alive = join(inside, '0000000000000001');
    const listener = createServer().listen(alive);
    onTestFinished(() => void listener.close());
    await new Promise((resolve) => listener.once('listening', resolve));
    utimesSync(alive, old, old);
    const links = socketsIn(directory);
    await links.listen(new Inbox().accept);
    while (existsSync(stale)) await systemClock().turn();
    for (const path of [foreign, young, alive]) expect(existsSync(path)).toBe(true);
    expect(await links.connect('dir:00000000cafecafe', new Inbox().accept)).toBeUndefined();
    expect(existsSync(young), 'refused, so it is proven').toBe(false);
  });

  test('bytes that are no messages end the link', async () => {
    const directory = scratch();
    const links = socketsIn(directory);
    const far = new Inbox();
    const address = await links.listen(far.accept);
    const path = join(directory, 'sockets', address.slice(4));
    for (const [i, bytes] of [
      Buffer.alloc(64, 0xff),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    ].entries()) {
      const socket = dial(path);
      socket.on('error', () => {});
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
      await far.until(() => far.ended === i + 1);
    }
    expect(far.messages).toEqual([]);
    // A message in pieces of one byte is a message.
    const slow = dial(path);
    for (const byte of Buffer.concat([
      Buffer.of(5, 0, 0, 0),
      Buffer.from('pie'),
      Buffer.from('ce'),
    ]))
      await new Promise((resolve) => slow.write(Buffer.of(byte), resolve));
    await far.until(() => far.messages.length > 0);
    expect(far.messages).toEqual(['piece']);
    slow.destroy();
  });

  test('what is no address is not connected to', async () => {
    const links = socketsIn(scratch());
    for (const address of ['', 'dir:', 'dir:../../etc', 'tmp:/etc/deadbeef', 'tcp:00000000', 'x'])
      await expect(links.connect(address, new Inbox().accept)).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
      });
  });
});
