/** What the platform has itself: events, timers, streams of Node and of the web. */
import { EventEmitter } from 'node:events';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';

import { fromEvents } from '../../src/connectors/from-events.ts';
import { toNodeStream, toWebStream, toWritable } from '../../src/connectors/outputs.ts';
import { periodic } from '../../src/connectors/periodic.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into, isSettled } from '../stream/helpers.ts';
import { gate, turn, until } from './support.ts';

describe('periodic', () => {
  test('calls again when the value was dealt with and the interval has passed', async () => {
    const clock = new VirtualClock();
    let n = 0;
    const source = periodic(async () => n++, { interval: '1s', clock });
    const { fn, values, open } = gate();
    source.sink(fn);
    await clock.advance(10_000);
    expect(values).toEqual([0]);
    open();
    await clock.advance(999);
    expect(values).toEqual([0]);
    await clock.advance(1);
    expect(values).toEqual([0, 1]);
    open();
    await source.close();
    expect(clock.timers).toBe(0);
  });

  test('what the function throws fails the stream', async () => {
    const source = periodic(() => Promise.reject(new RangeError('no value')), { interval: 1 });
    await expect(source.toArray()).rejects.toThrow('no value');
  });

  test('wrong arguments are told where they are given', () => {
    expect(codeOf(() => periodic(1 as never, { interval: 1 }))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => periodic(() => 1, { interval: 0 }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => periodic(() => 1, {} as never))).toBe('MR_OPTION_INVALID');
  });
});

describe('fromEvents', () => {
  test('takes the events of an emitter until one ends it, and then lets go of it', async () => {
    const emitter = new EventEmitter();
    emitter.emit('value', 0);
    const source = fromEvents<number>(emitter, 'value', { until: 'end' });
    const all = source.toArray();
    await source.start();
    emitter.emit('value', 1);
    emitter.emit('value', 2, 'more');
    emitter.emit('end');
    emitter.emit('value', 3);
    expect(await all).toEqual([1, 2]);
    expect(emitter.eventNames()).toEqual([]);
  });

  test('takes the events of an event target, and map makes values of them', async () => {
    const target = new EventTarget();
    const source = fromEvents(target, 'tick', { map: (event: Event) => event.type });
    const types = into(source);
    await source.start();
    target.dispatchEvent(new Event('tick'));
    target.dispatchEvent(new Event('tack'));
    await turn();
    expect(types).toEqual(['tick']);
    await source.close();
    target.dispatchEvent(new Event('tick'));
    expect(types).toEqual(['tick']);
  });

  test('a promise is a value like others', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents<Promise<number>>(emitter, 'value', { until: 'end' });
    const values: unknown[] = [];
    source.sink((value) => void values.push(value));
    await source.start();
    emitter.emit('value', Promise.resolve(1));
    emitter.emit('end');
    await source.drain();
    await until(() => values.length === 1);
    expect(values[0]).toBeInstanceOf(Promise);
  });

  test('fails when there is no room, behind those that had some', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents<number>(emitter, 'value', { capacity: 2 });
    const { fn, values, openForGood } = gate();
    const all = source.tap(fn).toArray();
    await source.start();
    for (const value of [1, 2, 3, 4, 5]) emitter.emit('value', value);
    openForGood();
    expect(await codeOfRejection(all)).toBe('MR_OVERFLOW');
    expect(values).toEqual([1, 2, 3]);
    expect(emitter.eventNames()).toEqual([]);
  });

  test('drops the oldest when there is no room, if it shall', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents<number>(emitter, 'value', { capacity: 2, whenFull: 'drop-oldest' });
    const { fn, values, openForGood } = gate();
    source.sink(fn);
    await source.start();
    for (const value of [1, 2, 3, 4, 5]) emitter.emit('value', value);
    openForGood();
    await until(() => values.length === 3);
    expect(values).toEqual([1, 4, 5]);
    await source.close();
  });

  test('events that are dealt with at once need no room, and keep their order', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents<number>(emitter, 'value', { capacity: 1 });
    const values: number[] = [];
    source.sink((value) => {
      if (value === 1) emitter.emit('value', 100);
      values.push(value);
    });
    await source.start();
    for (let i = 0; i < 5; i++) emitter.emit('value', i);
    expect(values).toEqual([0, 1, 100, 2, 3, 4]);
    await source.close();
  });

  test('what fails does not reach the emitter, but the stream', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents<number>(emitter, 'value');
    const all = source
      .tap(() => {
        throw new RangeError('no value');
      })
      .toArray();
    await source.start();
    emitter.emit('value', 1);
    emitter.emit('value', 2);
    await expect(all).rejects.toThrow('no value');

    const mapped = fromEvents(emitter, 'value', {
      map: () => {
        throw new RangeError('no map');
      },
    });
    const none = mapped.toArray();
    await mapped.start();
    emitter.emit('value', 1);
    await expect(none).rejects.toThrow('no map');
  });

  test('closing it waits for the event under way, and drops the others', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents<number>(emitter, 'value');
    const { fn, values, open } = gate();
    source.sink(fn);
    await source.start();
    emitter.emit('value', 1);
    emitter.emit('value', 2);
    const closing = source.close();
    expect(await isSettled(closing)).toBe(false);
    open();
    await closing;
    expect(values).toEqual([1]);
    expect(emitter.eventNames()).toEqual([]);
  });

  test('an error of the emitter fails the stream', async () => {
    const emitter = new EventEmitter();
    const source = fromEvents(emitter, 'value');
    const all = source.toArray();
    await source.start();
    emitter.emit('error', new RangeError('broken'));
    await expect(all).rejects.toThrow('broken');
    expect(emitter.eventNames()).toEqual([]);
  });

  test('refuses what has no events', () => {
    expect(codeOf(() => fromEvents({} as never, 'value'))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => fromEvents(new EventEmitter(), 'value', { capacity: 0 }))).toBe(
      'MR_OPTION_INVALID',
    );
    expect(
      codeOf(() => fromEvents(new EventEmitter(), 'v', { whenFull: 'drop' as 'drop-oldest' })),
    ).toBe('MR_OPTION_INVALID');
  });
});

describe('streams of Node and of the web as sources', () => {
  test('a Readable is read no faster than its values are dealt with, and destroyed when nobody listens', async () => {
    let read = 0;
    const readable = new Readable({
      objectMode: true,
      highWaterMark: 2,
      read() {
        this.push(read++);
      },
    });
    const { fn, values, open } = gate();
    const sink = Stream.from<number>(readable).sink(fn);
    await until(() => values.length === 1);
    for (let i = 0; i < 5; i++) await turn();
    expect(read).toBeLessThanOrEqual(5);
    open();
    await until(() => values.length === 2);
    sink.destroy();
    open();
    await until(() => readable.destroyed);
  });

  test('a ReadableStream is read to its end', async () => {
    const readable = new Blob(['a', 'b']).stream().pipeThrough(new TextDecoderStream());
    expect((await Stream.from(readable).toArray()).join('')).toBe('ab');
  });
});

describe('streams as those of Node and of the web', () => {
  test('a Readable has what is emitted from now on, and ends with the stream', async () => {
    const source = new Stream<number>();
    const readable = toNodeStream(source);
    void source.emit(1);
    const all = readable.toArray();
    await source.emit(2);
    await source.close();
    expect(await all).toEqual([1, 2]);
  });

  test('emit waits for the reader', async () => {
    const source = new Stream<number>();
    const readable = toNodeStream(source, { capacity: 1 });
    // One for whoever waits, one in the queue.
    await source.emit(1);
    await source.emit(2);
    const third = source.emit(3);
    expect(await isSettled(third)).toBe(false);
    expect(await readable.take(3).toArray()).toEqual([1, 2, 3]);
    await third;
  });

  test('a Readable that is destroyed leaves the stream', async () => {
    const source = new Stream<number>();
    const readable = toNodeStream(source, { capacity: 1 });
    readable.destroy();
    await until(() => readable.closed);
    for (let i = 0; i < 10; i++) await source.emit(i);
  });

  test('a stream that fails destroys its Readable with the error', async () => {
    const values = Stream.from([1, 2]).map((n) => {
      if (n === 2) throw new RangeError('no two');
      return n;
    });
    await expect(toNodeStream(values).toArray()).rejects.toThrow('no two');
  });

  test('fits into a pipeline', async () => {
    const lines = Stream.from([1, 2, 3]).map((n) => `${n}\n`);
    const out = new PassThrough();
    await pipeline(toNodeStream(lines), out);
    expect((await out.toArray()).join('')).toBe('1\n2\n3\n');
  });

  test('a ReadableStream is read to its end, and one that is cancelled leaves the stream', async () => {
    expect(await Array.fromAsync(toWebStream(Stream.from([1, 2])))).toEqual([1, 2]);
    const source = new Stream<number>();
    const readable = toWebStream(source, { capacity: 1 });
    await readable.cancel();
    for (let i = 0; i < 10; i++) await source.emit(i);
  });
});

describe('toWritable', () => {
  test('waits for a Writable that is full', async () => {
    const { fn, values, open, openForGood } = gate();
    const writable = new Writable({
      objectMode: true,
      highWaterMark: 2,
      write: (value, _encoding, done) => void fn(value).then(() => done()),
    });
    const source = new Stream<number>();
    const sink = toWritable<number>(writable);
    source.sink(sink);
    await source.emit(1);
    const second = source.emit(2);
    expect(await isSettled(second)).toBe(false);
    expect(writable.writableLength).toBe(2);
    open();
    expect(await isSettled(second)).toBe(false);
    open();
    await second;
    openForGood();
    await sink.close();
    expect(values).toEqual([1, 2]);
    expect(writable.writableFinished).toBe(true);
  });

  test('waits for a WritableStream that is full', async () => {
    const { fn, values, open, openForGood } = gate();
    const writable = new WritableStream<number>({ write: fn }, { highWaterMark: 1 });
    const sink = toWritable(writable);
    const first = sink(1);
    expect(await isSettled(first)).toBe(false);
    open();
    await first;
    openForGood();
    await sink(2);
    await sink.close();
    expect(values).toEqual([1, 2]);
    expect(await codeOfRejection(sink(3))).toBe('MR_CLOSED');
  });

  test('what breaks behind it fails the value that waits, and all that follow', async () => {
    const writable = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => setImmediate(done, new RangeError('disk on fire')),
    });
    const sink = toWritable<string>(writable);
    await expect(sink('a')).rejects.toThrow('disk on fire');
    await expect(sink('b')).rejects.toThrow('disk on fire');
    await expect(sink.close()).rejects.toThrow('disk on fire');

    const web = toWritable(
      new WritableStream({ write: () => Promise.reject(new RangeError('net down')) }),
    );
    await expect(web('a')).rejects.toThrow('net down');
    await expect(web('b')).rejects.toThrow('net down');
  });

  test('a Writable that was destroyed takes nothing', async () => {
    const writable = new PassThrough();
    const sink = toWritable(writable);
    writable.destroy();
    expect(await codeOfRejection(sink('a'))).toBe('MR_CLOSED');
  });

  test('refuses what is none', () => {
    expect(codeOf(() => toWritable({} as never))).toBe('MR_ARGUMENT_INVALID');
  });
});
