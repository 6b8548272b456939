/** What sources and sinks infer and refuse. */
import { EventEmitter } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { fromEvents, periodic, Stream, toNodeStream, toWebStream, toWritable } from 'millrace';
import { textFile, textFileSink } from 'millrace/files';
import { httpPost, httpServer } from 'millrace/http';
import { mqttSink } from 'millrace/mqtt';
import { fromProcess } from 'millrace/process';
import { tcpClient, tcpServer } from 'millrace/tcp';
import { websocketClient } from 'millrace/websocket';
import { expectTypeOf, test } from 'vitest';

test('values are what the source gives', () => {
  expectTypeOf(periodic(async () => 1, { interval: 1 })).toEqualTypeOf<Stream<number>>();
  expectTypeOf(textFile('a')).toEqualTypeOf<Stream<string>>();
  expectTypeOf(websocketClient('ws://a')).toEqualTypeOf<Stream<string | Buffer>>();
});

test('an encoding makes texts of bytes', () => {
  expectTypeOf(fromProcess('ls')).toEqualTypeOf<Stream<Buffer>>();
  expectTypeOf(fromProcess('ls', [], { encoding: 'utf8' })).toEqualTypeOf<Stream<string>>();
  expectTypeOf(tcpClient({ port: 1 })).toEqualTypeOf<Stream<Buffer>>();
  expectTypeOf(tcpServer({ port: 1, encoding: 'latin1' })).toExtend<Stream<string>>();
  expectTypeOf(tcpServer({ port: 1 }).port).toEqualTypeOf<number>();
  // @ts-expect-error no such encoding
  void (() => tcpServer({ port: 1, encoding: 'hex' }));
});

test('a decoded body is the value', () => {
  expectTypeOf(httpServer({ port: 1 })).toExtend<Stream<Buffer>>();
  const numbers = httpServer({ port: 1, decode: async (body) => body.length });
  expectTypeOf(numbers).toExtend<Stream<number>>();
});

test('events have the types of their emitter', () => {
  const door = new EventEmitter<{ moved: [by: string, cm: number]; gone: [] }>();
  expectTypeOf(fromEvents(door, 'moved')).toEqualTypeOf<Stream<string>>();
  const centimetres = fromEvents(door, 'moved', { map: (_by, cm) => cm });
  expectTypeOf(centimetres).toEqualTypeOf<Stream<number>>();
  expectTypeOf(fromEvents(new EventTarget(), 'x')).toEqualTypeOf<Stream>();
  expectTypeOf(fromEvents<Event>(new EventTarget(), 'x')).toEqualTypeOf<Stream<Event>>();
  expectTypeOf(fromEvents<number>({} as ChildProcess, 'exit')).toEqualTypeOf<Stream<number>>();
});

test('sinks take what they can encode', () => {
  const numbers = new Stream<number>();
  numbers.sink(textFileSink('a'));
  numbers.sink(textFileSink<number>('a', { encode: (n) => n.toFixed() }));
  numbers.sink(httpPost<number>('http://a'));
  numbers.sink(mqttSink('mqtt://a', (n: number) => `rooms/${n}`));
  // @ts-expect-error texts are no numbers
  numbers.sink(textFileSink<string>('a'));
  // @ts-expect-error a topic of texts
  numbers.sink(mqttSink('mqtt://a', (name: string) => name));
  expectTypeOf(numbers.map(httpPost<number>('http://a'))).toEqualTypeOf<Stream<void>>();
});

test('streams of the platform', () => {
  expectTypeOf(toWebStream(new Stream<number>())).toExtend<ReadableStream<number>>();
  expectTypeOf(toNodeStream(new Stream<number>())).toExtend<NodeJS.ReadableStream>();
  new Stream<string>().sink(toWritable(new WritableStream<string>()));
  // @ts-expect-error numbers are no texts
  new Stream<number>().sink(toWritable(new WritableStream<string>()));
});
