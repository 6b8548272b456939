/** What compaction may do, as the simulator sees it. */
import { expect, test } from 'vitest';

import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { place } from '../../src/broker/frame.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import { homeOf } from '../../src/broker/log/rows.ts';
import { Compacted } from '../../simulation/lib/compacted.ts';

const home = homeOf(1, 0);

/** A frame of records `key=value` from `base` on. */
function frameOf(base: number, ...records: readonly string[]): FrameView {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1_000 });
  for (const record of records) {
    const [key = '', value = ''] = record.split('=');
    builder.add(0, Buffer.from(key), Buffer.from(value), null);
  }
  const { bytes } = builder.build(null);
  place(bytes, base, 0, home);
  return FrameView.open(bytes, 't', 0, base, home);
}

function partition(): Compacted {
  const compacted = new Compacted('t[0]');
  compacted.appended(frameOf(0, 'a=1', 'b=1'));
  compacted.appended(frameOf(2, 'a=2'));
  return compacted;
}

test('a record with a later one of its key may go', () => {
  const compacted = partition();
  compacted.rewritten([
    { base: 0, frame: undefined },
    { base: 1, frame: frameOf(1, 'b=1') },
  ]);
  // Again, with what is left.
  compacted.rewritten([{ base: 1, frame: frameOf(1, 'b=1') }]);
});

test('the last of a key may not', () => {
  expect(() => partition().rewritten([{ base: 0, frame: undefined }])).toThrow(
    'record 1 of t[0], the last of key b, is gone',
  );
});

test('none may change, or come from nowhere', () => {
  expect(() => partition().rewritten([{ base: 2, frame: frameOf(2, 'a=3') }])).toThrow(
    'record 2 of t[0], the last of key a, is another one',
  );
  expect(() =>
    partition().rewritten([{ base: 0, frame: frameOf(0, 'a=1', 'b=1', 'c=1') }]),
  ).toThrow('a record that nobody has sent');
});
