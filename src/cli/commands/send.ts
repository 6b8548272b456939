/**
 * `millrace send`: records from the command line into a topic or to an agent.
 *
 * @module
 */
import { Command, Option } from 'commander';

import type { AnyTopic, AppParts } from '../../app/parts.ts';
import type { RecordMetadata } from '../../app/sender.ts';
import { Sender } from '../../app/sender.ts';
import type { Broker } from '../../broker/broker.ts';
import type { Codec } from '../../codec/codec.ts';
import { messageOf, MillraceError } from '../../core/errors.ts';
import {
  brokerOption,
  header,
  jsonOption,
  jsonValue,
  moduleOption,
  partitionOption,
  timestamp,
  wholeNumber,
} from '../args.ts';
import { storedCodec } from '../codecs.ts';
import { withApp, withPlace } from '../places.ts';
import type { PlaceOptions } from '../places.ts';
import { Progress } from '../progress.ts';
import { reasonOf } from '../terminal.ts';
import type { Terminal } from '../terminal.ts';
import { many } from '../text.ts';

interface Flags extends PlaceOptions {
  readonly key?: string | undefined;
  readonly keyJson?: unknown;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly timestamp?: number | undefined;
  readonly partition?: number | undefined;
  readonly repeat: number;
  readonly json?: true | undefined;
}

/** Sends one record; resolves when it is stored. */
type Send = (value: unknown) => Promise<RecordMetadata>;

/** Records that may wait for their acknowledgement at one time. */
const MAX_IN_FLIGHT = 1_000;
/** Key, value and headers of a record that is sent without the app's declaration. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;

export function sendCommand(terminal: Terminal): Command {
  return new Command('send')
    .description('send a value to a topic, or with --module to an agent')
    .argument('<target>', 'topic, or @agent')
    .argument('[value]', 'JSON; - reads one JSON value per line from standard input', '-')
    .addOption(moduleOption('use its codecs, schemas and event times'))
    .option('-k, --key <text>', 'key of the records')
    .addOption(
      new Option('--key-json <json>', 'key that is no text: a number, boolean, object or array')
        .argParser(jsonValue)
        .conflicts('key'),
    )
    .addOption(
      new Option('-H, --headers <name=value...>', 'headers of the records').argParser(header),
    )
    .addOption(
      new Option(
        '--timestamp <time>',
        'event time: ISO 8601, or milliseconds since 1970',
      ).argParser(timestamp),
    )
    .addOption(partitionOption('send there, whatever the key says'))
    .addOption(
      new Option('-r, --repeat <count>', 'send each value so many times')
        .argParser(wholeNumber(1, 1_000_000_000))
        .default(1),
    )
    .addOption(brokerOption())
    .addOption(jsonOption('the place of each record, one JSON document a line'))
    .addHelpText(
      'after',
      `
Without --module the topic must be there, and values are encoded by the codec that it was
made with: json and msgpack take any JSON, utf8 a JSON text, bytes a JSON text in base64.

example:
  $ millrace send orders '{"amount":20}' --key ann --module app.ts
`,
    )
    .action(async (target: string, value: string, flags: Flags) => {
      await send(terminal, target, value, flags);
    });
}

async function send(
  terminal: Terminal,
  target: string,
  value: string,
  flags: Flags,
): Promise<void> {
  const { module } = flags;
  if (module !== undefined) {
    await withApp(module, async (_app, parts) => {
      const topic = topicOf(parts, target);
      await sendAll(terminal, topic.name, value, flags, (each) =>
        topic.send(each, recordOptions(flags)),
      );
    });
    return;
  }
  if (target.startsWith('@'))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${target} is an agent, and only its app knows what it reads; add --module with the module of the app`,
    );
  await withPlace(terminal, flags, async ({ broker }) => {
    const sender = await plainSender(terminal, broker, target);
    const { key, ...options } = recordOptions(flags);
    await sendAll(terminal, target, value, flags, (each) =>
      sender.send(sender.prepare(each), key, options),
    );
  });
}

function recordOptions(flags: Flags): {
  key?: unknown;
  headers?: Readonly<Record<string, string>>;
  timestamp?: number;
  partition?: number;
} {
  const key = flags.key ?? flags.keyJson;
  return {
    ...(key === undefined ? {} : { key }),
    ...(flags.headers === undefined ? {} : { headers: flags.headers }),
    ...(flags.timestamp === undefined ? {} : { timestamp: flags.timestamp }),
    ...(flags.partition === undefined ? {} : { partition: flags.partition }),
  };
}

/** The topic of that name, or the one that an agent reads. @throws `MR_ARGUMENT_INVALID`, `MR_UNKNOWN_TOPIC`. */
function topicOf({ topics, agents }: AppParts, target: string): AnyTopic {
  const agent = target.startsWith('@') ? target.slice(1) : undefined;
  const topic = agent === undefined ? topics.get(target) : agents.get(agent);
  if (topic !== undefined) return topic;
  if (agent !== undefined && agents.has(agent))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `agent ${agent} reads a stream with operators, so nothing can be sent to it directly; send to the topic at the head of its source`,
      { details: { agent } },
    );
  const known = [...(agent === undefined ? topics : agents).keys()];
  throw new MillraceError(
    agent === undefined ? 'MR_UNKNOWN_TOPIC' : 'MR_ARGUMENT_INVALID',
    `the app declares no ${agent === undefined ? 'topic' : 'agent'} ${JSON.stringify(agent ?? target)}; it declares ${known.length === 0 ? 'none' : known.slice(0, 20).join(', ')}`,
    { details: { target } },
  );
}

/** A sender that knows the stored codec only. */
async function plainSender(
  terminal: Terminal,
  broker: Broker,
  topic: string,
): Promise<{ send: Sender['send']; prepare: (value: unknown) => unknown }> {
  const spec = await broker.describeTopic(topic);
  if (spec === undefined)
    throw new MillraceError(
      'MR_UNKNOWN_TOPIC',
      `there is no topic ${JSON.stringify(topic)} on ${broker.url}; add --module with the app that declares it, and it is made`,
      { details: { topic } },
    );
  if (spec.role !== 'source')
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `topic ${topic} is a ${spec.role} topic of ${spec.owner ?? 'an app'}, which alone may write to it; send to one of its sources`,
      { details: { topic } },
    );
  const codec = mustCodec(topic, 'codec', spec.codec);
  const keyCodec =
    spec.keyCodec === undefined ? undefined : mustCodec(topic, 'keyCodec', spec.keyCodec);
  const sender = new Sender(
    {
      topic,
      partitions: spec.partitions,
      codec,
      keyCodec,
      checkIn: undefined,
      checkOut: undefined,
      checkKey: undefined,
      timestamp: undefined,
      maxRecordBytes: MAX_RECORD_BYTES,
    },
    () => terminal.clock,
    () => Promise.resolve(broker),
  );
  const ofBytes = /^(?:bytes|gzip|base64)(?:\+|$)/.test(spec.codec);
  return {
    send: (value, key, options) => sender.send(value, key, options),
    // JSON has no bytes.
    prepare: (value) =>
      ofBytes && typeof value === 'string' ? new Uint8Array(Buffer.from(value, 'base64')) : value,
  };
}

function mustCodec(topic: string, what: string, name: string): Codec<unknown> {
  const codec = storedCodec(name);
  if (codec !== undefined) return codec;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `topic ${topic} has the ${what} ${name}, which is not millrace's own; add --module with the app that has it`,
    { details: { topic, [what]: name } },
  );
}

async function sendAll(
  terminal: Terminal,
  topic: string,
  value: string,
  flags: Flags,
  sendOne: Send,
): Promise<void> {
  const progress = new Progress(terminal, `sending to ${topic}`);
  const waiting = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let sent = 0;
  let last: RecordMetadata | undefined;
  const stored = async (metadata: RecordMetadata): Promise<void> => {
    sent++;
    last = metadata;
    progress.at(sent, undefined);
    if (flags.json === true) {
      progress.end();
      const { partition, offset, timestamp: at } = metadata;
      await terminal.print(
        JSON.stringify({ topic, partition, offset: Number(offset), receivedAt: at }),
      );
    }
  };
  try {
    for await (const each of valuesOf(terminal, value))
      for (let i = 0; i < flags.repeat && failure === undefined; i++) {
        if (terminal.signal.aborted) throw reasonOf(terminal.signal);
        const one = sendOne(each)
          .then(stored)
          .catch((error: unknown) => {
            failure ??= { error };
          })
          .finally(() => waiting.delete(one));
        waiting.add(one);
        if (waiting.size >= MAX_IN_FLIGHT) await Promise.race(waiting);
      }
  } finally {
    await Promise.all(waiting);
    progress.end();
  }
  if (failure !== undefined) {
    if (sent > 0) terminal.complain(`${many(sent, 'record')} had been sent before it failed\n`);
    throw failure.error;
  }
  if (flags.json === true) return;
  await terminal.print(
    sent === 1 && last !== undefined
      ? `${topic}[${last.partition}]@${last.offset}`
      : `${many(sent, 'record')} to ${topic}`,
  );
}

/** The value of the command line, or those of the lines of standard input. @throws `MR_ARGUMENT_INVALID` naming the line. */
async function* valuesOf(terminal: Terminal, value: string): AsyncGenerator {
  if (value !== '-') {
    yield parse(value, 'the value');
    return;
  }
  let line = 0;
  for await (const text of terminal.lines()) {
    line++;
    if (text.trim() !== '') yield parse(text, `line ${line} of standard input`);
  }
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${what} is not JSON: ${messageOf(error).slice(0, 200)}; a text needs quotes: '"text"'`,
    );
  }
}
