/**
 * A frame without some of its records. What stays keeps its offset: each run of neighbours becomes a frame of its own, and between the
 * frames there are gaps. So no reader has to know that a record is missing.
 *
 * @module
 */
import { place } from '../frame.ts';
import { FrameBuilder } from '../frame-builder.ts';
import type { FrameView } from '../frame-view.ts';

/** A frame that stands in place of (part of) another one. */
export interface Run {
  readonly baseOffset: number;
  readonly bytes: Buffer;
}

/** What is left of a frame. */
export interface Rewritten {
  readonly runs: readonly Run[];
  /** Records that are gone. */
  readonly dropped: number;
  /** Offset up to which records were looked at; below the end of the frame when it falls into too many runs. */
  readonly until: number;
}

/**
 * The runs of the records that `keeps` says stay, at most about `maxRuns` of them; the rest of the frame is then one more run, unseen.
 * `undefined` when all stay. `home`: of the partition.
 */
export function rewrite(
  view: FrameView,
  home: number,
  keeps: (i: number) => boolean,
  maxRuns: number,
): Rewritten | undefined {
  const { count } = view;
  const runs: Run[] = [];
  let dropped = 0;
  let from = 0;
  for (let i = 0; i < count; i++) {
    if (keeps(i)) continue;
    if (i > from) runs.push(runOf(view, home, from, i));
    dropped++;
    from = i + 1;
    if (runs.length >= maxRuns) break;
  }
  if (dropped === 0) return undefined;
  const whole = runs.length < maxRuns;
  if (from < count) runs.push(runOf(view, home, from, count));
  return { runs, dropped, until: whole ? view.end : view.baseOffset + from };
}

function runOf(view: FrameView, home: number, from: number, to: number): Run {
  const builder = new FrameBuilder({ text: view.text, maxRecordBytes: Number.MAX_SAFE_INTEGER });
  for (let i = from; i < to; i++)
    builder.add(view.timestamp(i), view.key(i), view.value(i), view.headers(i));
  // What the writer said of itself holds behind its last record.
  const speaks = to === view.count && view.upstream >= 0;
  const { bytes } = builder.build(
    speaks ? { upstream: view.upstream, streamTime: view.streamTime } : null,
  );
  const baseOffset = view.baseOffset + from;
  place(bytes, baseOffset, view.receivedAt, home);
  return { baseOffset, bytes };
}
