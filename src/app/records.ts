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

/**
 * Every record that is stored when the reading of its partition begins, partition by partition. `from`: the first offset that is wanted, by
 * partition; default: of all that there is.
 */
export async function* readRecords<V, K>(
  broker: Broker,
  format: TopicFormat,
  from: readonly number[] = [],
): AsyncIterableIterator<StreamEvent<V, K>> {
  for (let partition = 0; partition < format.partitions; partition++) {
    const { start, end } = await broker.bounds(format.topic, partition);
    const first = Math.max(start, from[partition] ?? start);
    const reader = broker.reader(format.topic, partition, first);
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
      for (let i = Math.max(0, first - frame.baseOffset); i < frame.count; i++) {
        const error = decoded.errors?.get(i);
        if (error !== undefined) throw placed(error, format.topic, partition, frame.baseOffset + i);
        const keyFrom = frame.keyStart(i);
        const event: EventCell = {
          topic: format.topic,
          partition,
          offset: frame.baseOffset + i,
          timestamp: frame.timestamp(i),
          key: keyFrom < 0 ? null : keys.ref(frame.bytes, keyFrom, frame.keyEnd(i)),
          headers: frame.headers(i),
          raw: null,
          effects: null,
          flight: null,
        };
        yield streamEvent<V, K>(decoded.values[i] as V, event);
      }
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
