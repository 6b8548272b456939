/**
 * Verifies the frames of one partition against their checksums and the row with its ends.
 *
 * The partition is read in stretches, each of which sees one state of the store; others may append, delete and compact between them. What is
 * wrong with a frame itself is certain. What is wrong between frames may come from such a change: the partition is then read again, a few
 * times at most.
 *
 * @module
 */
import { messageOf, MillraceError } from '../../core/errors.ts';
import type { KvReader } from '../../kv/kv.ts';
import { readPlace } from '../frame.ts';
import { FrameView } from '../frame-view.ts';
import { MAX_PROBLEMS, type VerifyProblem } from '../verify-report.ts';
import type { Findings } from './findings.ts';
import { STEP_BYTES } from './front.ts';
import { readEnds } from './partitions.ts';
import type { Pause } from './retention.ts';
import { frameKey, frameRange, homeOf, isFrameKey, offsetOfKey, type Ends } from './rows.ts';
import type { StoredTopic } from './topics.ts';

const ATTEMPTS = 3;

/** What a walk through a partition found. */
interface Walked {
  frames: number;
  records: number;
  frameBytes: number;
  /** Wrong with frames themselves, and between them. */
  readonly damages: VerifyProblem[];
  readonly contradictions: VerifyProblem[];
  /** The ends changed on the way. */
  changed: boolean;
}

/** Reports what is wrong with a partition. A topic that is deleted meanwhile is no problem. */
export async function verifyPartition(
  kv: KvReader,
  topic: StoredTopic,
  partition: number,
  findings: Findings,
  pause: Pause,
): Promise<void> {
  const place = `${topic.spec.name}[${partition}]`;
  const { frames, records, frameBytes } = findings.counts;
  for (let attempt = 1; ; attempt++) {
    let walked: Walked;
    try {
      walked = await walk(kv, topic, partition, async (at) => {
        findings.counts.frames = frames + at.frames;
        findings.counts.records = records + at.records;
        findings.counts.frameBytes = frameBytes + at.frameBytes;
        await pause();
      });
    } catch (error) {
      if (MillraceError.is(error) && error.code === 'MR_UNKNOWN_TOPIC') return;
      if (MillraceError.is(error) && error.code === 'MR_ABORTED') throw error;
      findings.error('ends', place, messageOf(error));
      return;
    }
    if (walked.contradictions.length > 0 && walked.changed && attempt < ATTEMPTS) continue;
    for (const problem of [...walked.damages, ...walked.contradictions]) findings.add(problem);
    return;
  }
}

async function walk(
  kv: KvReader,
  topic: StoredTopic,
  partition: number,
  step: (walked: Walked) => Promise<void>,
): Promise<Walked> {
  const { name } = topic.spec;
  const walked: Walked = {
    frames: 0,
    records: 0,
    frameBytes: 0,
    damages: [],
    contradictions: [],
    changed: false,
  };
  const report = (
    problems: VerifyProblem[],
    kind: VerifyProblem['kind'],
    offset: number | undefined,
    text: string,
  ): void => {
    const place = `${name}[${partition}]${offset === undefined ? '' : `@${offset}`}`;
    problems.push({ severity: 'error', kind, place, text });
  };
  const contradict = (
    kind: VerifyProblem['kind'],
    offset: number | undefined,
    text: string,
  ): void => report(walked.contradictions, kind, offset, text);

  const home = homeOf(topic.id, partition);
  let ends = readEnds(kv, topic, partition);
  const first = ends;
  checkEnds(ends, (text) => contradict('ends', undefined, text));
  const below = frameRange(topic.id, partition, 0, Math.max(0, ends.start));
  for (const { key } of kv.range('frames', { ...below, limit: 1 }))
    contradict('orphan', offsetOfKey(key), 'this frame lies below the start of its partition');
  let expected = Math.max(0, ends.start);
  let receivedAt = -Infinity;
  let bytes = 0;
  for (let cursor = expected, more = true; more;) {
    more = false;
    ends = readEnds(kv, topic, partition);
    // Deleted from the front meanwhile: what was counted of it does not add up any more.
    expected = Math.max(expected, ends.start);
    let stepBytes = 0;
    const range = {
      from: frameKey(topic.id, partition, cursor),
      to: frameKey(topic.id, partition + 1, 0),
    };
    for (const { key, value } of kv.range('frames', range)) {
      if (!isFrameKey(key)) {
        report(walked.damages, 'frame', undefined, 'a key among its frames is of none');
        continue;
      }
      const base = offsetOfKey(key);
      walked.frames++;
      walked.frameBytes += value.length;
      bytes += value.length;
      cursor = base + 1;
      if (base >= ends.end)
        contradict('orphan', base, `this frame lies at or above the end, ${ends.end}`);
      else if (base < expected)
        contradict(
          'gap',
          base,
          `this frame begins before the one in front of it ends, ${expected}`,
        );
      else if (base > expected && base > ends.sparseBelow)
        contradict('gap', expected, `the records up to offset ${base} are missing`);
      // Readers find it by its key, and damage between the pages of the store may keep them from that.
      if (kv.get('frames', key) === undefined)
        report(walked.damages, 'frame', base, 'it cannot be found by its offset');
      const wrong = defectOf(value, name, partition, base, home);
      if (wrong !== undefined) report(walked.damages, 'frame', base, wrong);
      const header = readPlace(value, home);
      // Where a damaged frame ends is not known: the next one is believed.
      expected =
        header === undefined ? nextBase(kv, range.to, cursor, topic, ends) : base + header.count;
      walked.records += header?.count ?? 0;
      if (header !== undefined && header.receivedAt < receivedAt)
        contradict('frame', base, 'this frame was received before the one in front of it');
      receivedAt = Math.max(receivedAt, header?.receivedAt ?? receivedAt);
      if ((stepBytes += value.length) > STEP_BYTES) {
        more = true;
        break;
      }
    }
    if (walked.damages.length + walked.contradictions.length > MAX_PROBLEMS) {
      contradict('gap', cursor, 'too much is wrong: the rest of the partition was not looked at');
      return walked;
    }
    if (more) await step(walked);
  }
  if (expected !== ends.end)
    contradict('gap', expected, `the records up to the end, ${ends.end}, are missing`);
  if (bytes !== ends.bytes)
    contradict('ends', undefined, `its frames have ${bytes} bytes, its row says ${ends.bytes}`);
  walked.changed =
    first.start !== ends.start ||
    first.end !== ends.end ||
    first.bytes !== ends.bytes ||
    first.sparseBelow !== ends.sparseBelow;
  await step(walked);
  return walked;
}

function nextBase(
  kv: KvReader,
  to: Uint8Array,
  cursor: number,
  topic: StoredTopic,
  ends: Ends,
): number {
  const partition = Buffer.from(to).readUInt16BE(4) - 1;
  const from = frameKey(topic.id, partition, cursor);
  for (const { key } of kv.range('frames', { from, to }))
    if (isFrameKey(key)) return offsetOfKey(key);
  return ends.end;
}

function checkEnds(ends: Ends, report: (text: string) => void): void {
  const { start, end, bytes, sparseBelow, receivedAt } = ends;
  const offsets = [start, end, bytes, sparseBelow];
  if (!offsets.every((value) => Number.isSafeInteger(value) && value >= 0))
    report(`its row holds what cannot be offsets: ${offsets.join(', ')}`);
  else if (start > end) report(`it begins at ${start}, behind its end, ${end}`);
  if (!Number.isFinite(receivedAt)) report(`its last receipt was at ${receivedAt}`);
}

/** What is wrong with a frame, or `undefined`. Values are the users' bytes and not looked at. */
function defectOf(
  bytes: Uint8Array,
  topic: string,
  partition: number,
  baseOffset: number,
  home: number,
): string | undefined {
  try {
    const view = FrameView.open(bytes, topic, partition, baseOffset, home);
    if (view.control) return undefined;
    view.headers(0);
    for (let i = 0; i < view.count; i++) {
      const at = view.timestamp(i);
      if (!(at >= view.leastTimestamp && at <= view.greatestTimestamp))
        return `record ${baseOffset + i} has the timestamp ${at}, which its header excludes`;
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
