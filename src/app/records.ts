/**
 * What a topic holds, read from outside any app's processing.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { KeyInterner } from '../codec/key.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { streamEvent } from '../runtime/agent-stream.ts';
import type { StreamEvent } from '../runtime/agent-stream.ts';
import { decodeFrame } from '../runtime/format.ts';
import type { TopicFormat } from '../runtime/format.ts';

/** Every record that is stored when the reading of its partition begins, partition by partition. */
export async function* readRecords<V, K>(
  broker: Broker,
  format: TopicFormat,
): AsyncIterableIterator<StreamEvent<V, K>> {
  for (let partition = 0; partition < format.partitions; partition++) {
    const { start, end } = await broker.bounds(format.topic, partition);
    const reader = broker.reader(format.topic, partition, start);
    const { keyCodec } = format;
    const keys =
      keyCodec === undefined
        ? new KeyInterner()
        : new KeyInterner(undefined, (bytes) => keyCodec.decode(bytes));
    while (reader.offset < end) {
      const frame = await reader.next();
      if (frame === undefined) break;
      if (frame.control) continue;
      const decoded = decodeFrame(format, frame);
      for (let i = 0; i < decoded.good; i++) {
        const from = frame.keyStart(i);
        const event: EventCell = {
          topic: format.topic,
          partition,
          offset: frame.baseOffset + i,
          timestamp: frame.timestamp(i),
          key: from < 0 ? null : keys.ref(frame.bytes, from, frame.keyEnd(i)),
          headers: frame.headers(i),
          raw: null,
        };
        yield streamEvent<V, K>(decoded.values[i] as V, event);
      }
      if (decoded.error !== undefined)
        throw placed(decoded.error, format.topic, partition, frame.baseOffset + decoded.good);
    }
  }
}

function placed(
  error: MillraceError,
  topic: string,
  partition: number,
  offset: number,
): MillraceError {
  return new MillraceError(
    error.code,
    `the record at offset ${offset} of ${topic}[${partition}] cannot be read: ${error.message}`,
    { cause: error, details: { ...error.details, topic, partition, offset } },
  );
}
