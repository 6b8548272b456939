/** What whoever can connect may do to a broker object: nothing that its peers notice, and nothing that fills its memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { MAX_MESSAGE_BYTES } from '../../src/broker/groups/links.ts';
import { encodeAnswer, encodeHello, encodePoke } from '../../src/broker/groups/messages.ts';
import { Peers } from '../../src/broker/groups/peers.ts';
import { socketLinks } from '../../src/broker/groups/sockets.ts';
import { systemClock, VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom, systemRandom } from '../../src/core/random.ts';
import { SLOW } from '../cli/support.ts';
import { mangle } from './mangle.ts';

/** 10,000 where there is time for it. */
const CONNECTIONS = process.env['MILLRACE_FUZZ'] === undefined ? 1_500 : 10_000;
const MIB = 1024 * 1024;

interface Member {
  readonly peers: Peers;
  readonly address: string;
  /** Of its socket. */
  readonly path: string;
  pokes: number;
  /** Ends the waiting of questions to the task `slow`. */
  readonly slow: PromiseWithResolvers<void>;
}

async function member(directory: string, clock: VirtualClock): Promise<Member> {
  const links = socketLinks({ directory, clock, random: systemRandom() });
  const made = { pokes: 0, slow: Promise.withResolvers<void>() };
  const peers = new Peers(links, clock, {
    poked: () => {
      made.pokes++;
      return true;
    },
    died: () => {},
    asked: async (_group, task, question) => {
      if (task === 'slow') await made.slow.promise;
      return Buffer.from(`answer to ${String(question)}`);
    },
  });
  onTestFinished(async () => await peers.close());
  const address = await peers.listen();
  return Object.assign(made, {
    peers,
    address,
    path: join(directory, 'sockets', address.slice(4)),
  });
}

async function pair(): Promise<{ near: Member; far: Member; clock: VirtualClock }> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-hostile-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const clock = new VirtualClock();
  return { near: await member(directory, clock), far: await member(directory, clock), clock };
}

async function ask(from: Member, to: Member, question: string, task = 'orders/0'): Promise<string> {
  const ended = new AbortController();
  const asked = Buffer.from(question);
  const answer = await from.peers.ask(to.address, 'app', task, asked, ended.signal);
  ended.abort();
  return Buffer.from(answer).toString();
}

async function intrude({ path }: Member): Promise<Socket> {
  const socket = dial(path);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.once('error', resolve);
  });
  return socket;
}

/** Resolves when the other end has hung up. */
async function hungUp(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

function message(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

function announcing(bytes: number): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes);
  return length;
}

const answered = (question: string): string => `answer to ${question}`;

test(
  'whoever sends garbage is cut off, and peers are answered meanwhile',
  { timeout: SLOW },
  async () => {
    const { near, far } = await pair();
    const random = seededRandom(1);
    const corpus = [
      encodeHello(),
      encodePoke('poke', 'changes'),
      encodeAnswer(1, Buffer.from('x')),
    ];
    for (let i = 0; i < 200; i++) {
      const socket = await intrude(far);
      const greeting = i % 2 === 0 ? message(encodeHello()) : Buffer.alloc(0);
      // What has never been a message ends it, whatever came before.
      const end = message(Buffer.of(9, 9));
      socket.end(Buffer.concat([greeting, message(mangle(random, corpus)), end]));
      await hungUp(socket);
      if (i % 50 === 0) expect(await ask(near, far, `${i}`)).toBe(answered(`${i}`));
    }
    expect(await ask(near, far, 'after')).toBe(answered('after'));
  },
);

test(
  'a huge length is refused at once, and room is made for what has come, not for what was announced',
  { timeout: SLOW },
  async () => {
    const { near, far } = await pair();
    const huge = await intrude(far);
    huge.write(announcing(0xffff_ffff));
    await hungUp(huge);
    const before = process.memoryUsage().arrayBuffers;
    const sockets: Socket[] = [];
    for (let i = 0; i < 100; i++) {
      const socket = await intrude(far);
      socket.write(Buffer.concat([announcing(MAX_MESSAGE_BYTES), Buffer.alloc(10)]));
      sockets.push(socket);
    }
    expect(await ask(near, far, 'now')).toBe(answered('now'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * MIB);
    for (const socket of sockets) socket.destroy();
  },
);

test('half messages of many links take 64 MiB at most', { timeout: SLOW }, async () => {
  const { near, far } = await pair();
  const half = Buffer.concat([announcing(MAX_MESSAGE_BYTES), Buffer.alloc(3 * MIB)]);
  const sockets: Socket[] = [];
  for (let i = 0; i < 40; i++) {
    const socket = await intrude(far);
    await new Promise((resolve) => socket.write(half, resolve));
    sockets.push(socket);
  }
  const dropped = (): number => sockets.filter(({ closed }) => closed).length;
  for (const socket of sockets) socket.resume();
  while (dropped() < 40 - 64 / 3) await systemClock().turn();
  expect(await ask(near, far, 'small')).toBe(answered('small'));
  // What they held is free again when they have gone.
  for (const socket of sockets) socket.destroy();
  const long = 'x'.repeat(2 * MIB);
  const patiently = async (): Promise<string> => {
    try {
      return await ask(near, far, long);
    } catch (error) {
      // Until the other end has noticed that they have gone.
      if (!MillraceError.is(error) || !error.retryable) throw error;
      await systemClock().turn();
      return await patiently();
    }
  };
  expect(await patiently()).toBe(answered(long));
});

test(
  'questions that wait for their answers have 64 MiB in all, and the others are told so',
  { timeout: SLOW },
  async () => {
    const { near, far } = await pair();
    const long = 'x'.repeat(4 * MIB);
    const waiting: Promise<string>[] = [];
    // One after the other, or more than the socket takes would be under way.
    let refusal: unknown;
    for (let i = 0; i < 16; i++) {
      waiting.push(ask(near, far, long, 'slow'));
      // Answers come in the order of the questions: this one says that the other has arrived.
      await ask(near, far, '').catch((error: unknown) => (refusal = error));
    }
    expect(refusal).toBeUndefined();
    await expect(ask(near, far, 'x', 'slow')).rejects.toMatchObject({
      code: 'MR_OVERFLOW',
      retryable: true,
    });
    far.slow.resolve();
    for (const { length } of await Promise.all(
      waiting.map(async (each) => await each.catch(String)),
    ))
      expect(length).toBeGreaterThan(0);
    expect(await ask(near, far, 'after')).toBe(answered('after'));
  },
);

test(
  'a message in pieces of one byte takes no more room than it has bytes',
  { timeout: SLOW },
  async () => {
    const { far } = await pair();
    const socket = await intrude(far);
    const poke = Buffer.concat([message(encodeHello()), message(encodePoke('poke', 'group'))]);
    for (const byte of poke) await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    while (far.pokes === 0) await systemClock().turn();
    expect(far.pokes).toBe(1);
  },
);

test(
  'who connects and says nothing, or never ends a message, is cut off after ten seconds',
  { timeout: SLOW },
  async () => {
    const { near, far, clock } = await pair();
    expect(await ask(near, far, 'before')).toBe(answered('before'));
    const silent = await intrude(far);
    const slow = await intrude(far);
    slow.write(Buffer.concat([message(encodeHello()), announcing(1_000), Buffer.alloc(1)]));
    const idle = await intrude(far);
    idle.write(Buffer.concat([message(encodeHello()), message(encodePoke('poke', 'group'))]));
    while (far.pokes === 0) await systemClock().turn();
    await clock.advance(9_000);
    slow.write(Buffer.alloc(1));
    for (let i = 0; i < 20; i++) await systemClock().turn();
    expect([silent.closed, slow.closed, idle.closed]).toEqual([false, false, false]);
    await clock.advance(1_001);
    await hungUp(silent);
    await hungUp(slow);
    await clock.advance(100_000);
    expect(idle.closed, 'it has said hello, and owes nothing').toBe(false);
    expect(await ask(near, far, 'after')).toBe(answered('after'));
  },
);

test(
  `${CONNECTIONS} connections: those beyond the limit are dropped, peers that are connected go on`,
  { timeout: SLOW },
  async () => {
    const { near, far, clock } = await pair();
    expect(await ask(near, far, 'before')).toBe(answered('before'));
    const before = process.memoryUsage().heapUsed;
    const sockets: Socket[] = [];
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket = await intrude(far);
      socket.resume();
      sockets.push(socket);
    }
    expect(await ask(near, far, 'meanwhile')).toBe(answered('meanwhile'));
    const open = (): number => sockets.filter(({ closed }) => !closed).length;
    while (open() > 1_024) await systemClock().turn();
    // The sockets of the intruders are in this heap, too.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan((CONNECTIONS / 1_000) * 40 * MIB);
    await clock.advance(10_001);
    while (open() > 0) await systemClock().turn();
    // The places are free again.
    const late = await member(join(far.path, '..', '..'), clock);
    expect(await ask(late, far, 'late')).toBe(answered('late'));
  },
);
