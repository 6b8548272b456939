/**
 * Frames as record batches, and back. Every record of a frame is a record of Kafka, with its key, value, timestamp and headers, so that other
 * programs read and write the same topics.
 *
 * What a frame says beside its records stands in a header of its last one, {@link MARK}: whether the values are one array of JSON texts, and how
 * far the task that wrote it has come. A frame that says neither, alone in its batch, has no mark. A control frame is one record without key and value. A
 * reader cuts a batch behind marked records and where compaction has left gaps, and takes the mark away.
 *
 * ```
 * mark: u8 bits (1 text, 2 control, 4 idle, 8 origin); with origin: u16 upstream task, f64 stream time, big-endian
 * ```
 *
 * @module
 */
import type { Headers } from '../../core/types.ts';
import { controlFrame, FrameBuilder } from '../frame-builder.ts';
import { FrameView } from '../frame-view.ts';
import { place } from '../frame.ts';
import type { Frame, FrameOrigin } from '../frame.ts';
import type { BatchRecord, BatchWriter } from './record-batch.ts';

/** Name of the header of a frame's last record. */
const MARK = 'millrace';
const MARK_NAME: Buffer = Buffer.from(MARK);

const TEXT = 1;
const CONTROL = 2;
const IDLE = 4;
const ORIGIN = 8;

/** Adds the records of a frame to a batch. `marked`: mark it in any case, because it is not alone there. */
export function addFrame(writer: BatchWriter, frame: Frame, marked: boolean): void {
  const view = FrameView.open(frame.bytes, 'an append', 0, frame.bytes.readDoubleLE(16));
  const mark = markOf(view, marked);
  if (view.control) {
    writer.add(
      Number.isFinite(view.streamTime) ? Math.trunc(view.streamTime) : 0,
      null,
      null,
      mark === null ? [] : [mark],
    );
    return;
  }
  const last = view.count - 1;
  for (let i = 0; i <= last; i++) {
    const headers = headersOf(view.headers(i));
    if (i === last && mark !== null) headers.push(mark);
    writer.add(view.timestamp(i), view.key(i), view.value(i), headers);
  }
}

type Mark = readonly [Uint8Array, Uint8Array];

function markOf(view: FrameView, marked: boolean): Mark | null {
  const origin = view.upstream >= 0;
  const bits =
    (view.text ? TEXT : 0) |
    (view.control ? CONTROL : 0) |
    (view.idle ? IDLE : 0) |
    (origin ? ORIGIN : 0);
  if (bits === 0 && !marked) return null;
  const content = Buffer.alloc(origin ? 11 : 1);
  content[0] = bits;
  if (origin) {
    content.writeUInt16BE(view.upstream, 1);
    content.writeDoubleBE(view.streamTime, 3);
  }
  return [MARK_NAME, content];
}

function headersOf(headers: Headers | null): Mark[] {
  if (headers === null) return [];
  return Object.entries(headers).map(([name, value]) => [
    Buffer.from(name),
    typeof value === 'string' ? Buffer.from(value) : value,
  ]);
}

/** Where frames come from. */
export interface FramePlaces {
  readonly topic: string;
  readonly partition: number;
  /** Stands for the time of receipt, which Kafka tells of topics with log append time alone. */
  readonly receivedAt: number;
}

/**
 * The frames of the records of a batch, in their order.
 *
 * @throws `MR_KEY_INVALID` for a key that is longer than a frame can hold.
 */
export function framesOf(records: readonly BatchRecord[], places: FramePlaces): FrameView[] {
  const views: FrameView[] = [];
  for (let from = 0; from < records.length;) {
    let to = from;
    let mark: Buffer | undefined;
    for (;;) {
      mark = findMark(records[to] as BatchRecord);
      to++;
      if (mark !== undefined || to === records.length) break;
      if (records[to]?.offset !== (records[to - 1] as BatchRecord).offset + 1) break;
    }
    views.push(
      openFrame(frameOf(records.slice(from, to), mark), records[from]?.offset ?? 0, places),
    );
    from = to;
  }
  return views;
}

function openFrame(frame: Frame, baseOffset: number, places: FramePlaces): FrameView {
  place(frame.bytes, baseOffset, places.receivedAt);
  return FrameView.open(frame.bytes, places.topic, places.partition, baseOffset);
}

function findMark({ headers }: BatchRecord): Buffer | undefined {
  return (
    headers?.find(([name, value]) => name === MARK && value !== null && isMark(value))?.[1] ??
    undefined
  );
}

/** Somebody else may use the name. */
function isMark(value: Buffer): boolean {
  return value.length === ((value[0] as number) & ORIGIN ? 11 : 1);
}

function frameOf(records: readonly BatchRecord[], mark: Buffer | undefined): Frame {
  const bits = mark?.[0] ?? 0;
  const origin: FrameOrigin | null =
    mark !== undefined && (bits & ORIGIN) !== 0
      ? { upstream: mark.readUInt16BE(1), streamTime: mark.readDoubleBE(3) }
      : null;
  if ((bits & CONTROL) !== 0 && records.length === 1)
    return controlFrame(origin ?? { upstream: -1, streamTime: -Infinity }, (bits & IDLE) !== 0);
  const builder = new FrameBuilder({ text: (bits & TEXT) !== 0, maxRecordBytes: Infinity });
  for (const { timestamp, key, value, headers } of records)
    builder.add(timestamp, key, value, headers === null ? null : userHeaders(headers));
  return builder.build(origin);
}

/** Of headers with one name the last counts; one without a value is empty. */
function userHeaders(headers: NonNullable<BatchRecord['headers']>): Headers | null {
  const kept: Record<string, Uint8Array> = Object.create(null) as Record<string, Uint8Array>;
  let count = 0;
  for (const [name, value] of headers) {
    if (name === MARK && value !== null && isMark(value)) continue;
    kept[name] = value ?? Buffer.alloc(0);
    count++;
  }
  return count === 0 ? null : kept;
}
