/**
 * Topics: creation, conflicts, names.
 *
 * @module
 */
import assert from 'node:assert/strict';

import { fails, failsToRead, frameOf, topicSpec, type LogCases } from './bench.ts';

export const topicCases: LogCases = {
  'a topic is created once and described as it was declared': async ({ broker }) => {
    await broker.createTopic(topicSpec('orders', { partitions: 3 }));
    await broker.createTopic(topicSpec('orders', { partitions: 3 }));
    assert.deepEqual(await broker.describeTopic('orders'), topicSpec('orders', { partitions: 3 }));
    assert.equal(await broker.describeTopic('nothing'), undefined);
  },
  'two creations at the same time make one topic': async ({ broker, reopen }) => {
    const other = await reopen();
    const spec = topicSpec('orders');
    await Promise.all([
      broker.createTopic(spec),
      other.createTopic(spec),
      broker.createTopic(spec),
    ]);
    assert.deepEqual(await other.topics(), [spec]);
  },
  'another declaration is refused and changes nothing': async ({ broker }) => {
    const spec = topicSpec('orders', { partitions: 2 });
    await broker.createTopic(spec);
    for (const other of [{ partitions: 4 }, { codec: 'msgpack' }, { role: 'changelog' as const }])
      await fails(broker.createTopic({ ...spec, ...other }), 'MR_TOPIC_CONFLICT');
    assert.deepEqual(await broker.describeTopic('orders'), spec);
    const owned = topicSpec('a-b-c-changelog', { role: 'changelog', owner: 'a' });
    await broker.createTopic(owned);
    await broker.createTopic(owned);
    await fails(broker.createTopic({ ...owned, owner: 'a-b' }), 'MR_TOPIC_CONFLICT');
    assert.deepEqual(await broker.describeTopic('a-b-c-changelog'), owned);
  },
  'how long a topic is kept belongs to who has declared it': async ({ broker, reopen }) => {
    const day = { retentionMs: 86_400_000, retentionBytes: null, compact: false };
    const small = { retentionMs: null, retentionBytes: 1 << 20, compact: true };
    const spec = topicSpec('orders');
    await broker.createTopic(spec);
    await broker.createTopic({ ...spec, keep: day, declaredBy: 'shop' });
    const stored = { ...spec, keep: day, declaredBy: 'shop' };
    assert.deepEqual(await broker.describeTopic('orders'), stored);
    await broker.createTopic({ ...spec, declaredBy: 'reader' });
    await broker.createTopic({ ...spec, keep: { ...day }, declaredBy: 'reader' });
    const other = await reopen();
    assert.deepEqual(await other.describeTopic('orders'), stored, 'nothing else was declared');
    for (const declaredBy of ['reader', undefined]) {
      const error = await fails(
        broker.createTopic({ ...spec, keep: small, declaredBy }),
        'MR_TOPIC_CONFLICT',
      );
      assert.match(String(error['message']), /shop.*for 86400000 ms/);
    }
    await other.createTopic({ ...spec, keep: small, declaredBy: 'shop' });
    assert.deepEqual(await broker.describeTopic('orders'), { ...stored, keep: small });
    assert.deepEqual(await broker.topics(), [{ ...stored, keep: small }]);
  },
  'what cannot be kept is refused': async ({ broker }) => {
    const keep = { retentionMs: null, retentionBytes: null, compact: false };
    for (const bad of [
      { retentionMs: 999 },
      { retentionMs: Number.NaN },
      { retentionMs: Infinity },
      { retentionBytes: (1 << 20) - 1 },
      { retentionBytes: 1.5e6 + 0.5 },
      { compact: 1 as unknown as boolean },
    ])
      await fails(
        broker.createTopic(topicSpec('t', { keep: { ...keep, ...bad } })),
        'MR_OPTION_INVALID',
      );
    for (const role of ['repartition', 'changelog'] as const)
      await fails(broker.createTopic(topicSpec('t', { role, keep })), 'MR_OPTION_INVALID');
    await fails(broker.createTopic(topicSpec('t', { keep, declaredBy: '' })), 'MR_NAME_INVALID');
    assert.deepEqual(await broker.topics(), []);
    await broker.createTopic(
      topicSpec('t', { keep: { retentionMs: 1000, retentionBytes: 1 << 20, compact: true } }),
    );
  },
  'topics are listed': async ({ broker }) => {
    assert.deepEqual(await broker.topics(), []);
    const specs = [
      topicSpec('a'),
      topicSpec('app-1.b-changelog', { role: 'changelog' }),
      topicSpec('c_', { partitions: 1024, codec: 'msgpack' }),
    ];
    for (const spec of specs) await broker.createTopic(spec);
    const listed = (await broker.topics()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(listed, specs);
  },
  'invalid declarations are refused': async ({ broker }) => {
    const names = ['', '../x', '/etc/passwd', 'a\0b', 'é', 'x'.repeat(129), '-a', 'a..b', 'CON'];
    for (const name of names) await fails(broker.createTopic(topicSpec(name)), 'MR_NAME_INVALID');
    const long = topicSpec('x'.repeat(249), { role: 'repartition' });
    await broker.createTopic(long);
    await fails(broker.createTopic({ ...long, name: 'x'.repeat(250) }), 'MR_NAME_INVALID');
    for (const partitions of [0, -1, 1.5, 1025, Number.NaN])
      await fails(broker.createTopic(topicSpec('t', { partitions })), 'MR_OPTION_INVALID');
    await fails(broker.createTopic(topicSpec('t', { codec: '' })), 'MR_OPTION_INVALID');
    assert.deepEqual(await broker.topics(), [long]);
  },
  'unknown topics and partitions are errors': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    for (const name of ['nothing', '', 'x'.repeat(5000), '__proto__']) {
      await fails(broker.bounds(name, 0), 'MR_UNKNOWN_TOPIC');
      await fails(broker.truncate(name, 0, 1), 'MR_UNKNOWN_TOPIC');
      await fails(
        broker.append([{ topic: name, partition: 0, frame: frameOf('a') }]),
        'MR_UNKNOWN_TOPIC',
      );
      await failsToRead(broker, name, 0, 0, 'MR_UNKNOWN_TOPIC');
    }
    for (const partition of [2, -1, 0.5, Number.NaN]) {
      await fails(broker.bounds('t', partition), 'MR_ARGUMENT_INVALID');
      await fails(
        broker.append([{ topic: 't', partition, frame: frameOf('a') }]),
        'MR_ARGUMENT_INVALID',
      );
      await failsToRead(broker, 't', partition, 0, 'MR_ARGUMENT_INVALID');
    }
    for (const offset of [-1, 0.5, Number.NaN, Infinity])
      await failsToRead(broker, 't', 0, offset, 'MR_ARGUMENT_INVALID');
  },
};
