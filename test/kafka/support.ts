/**
 * What the tests on Kafka share.
 *
 * @module
 */
import { inject } from 'vitest';
import type { ProvidedContext } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import type { RecordLog } from '../../src/broker/broker.ts';
import { Cluster } from '../../src/broker/kafka/cluster.ts';
import { loadKafka } from '../../src/broker/kafka/library.ts';
import { openKafkaLog } from '../../src/broker/kafka/log.ts';
import { parseKafkaUrl } from '../../src/broker/kafka/url.ts';
import type { OpenedLog } from '../../src/testing/conformance/broker.ts';

/** The broker that there is; `null` when tests are to be skipped. */
export const kafka: ProvidedContext['kafka'] = inject('kafka');

/** Its URL. */
export function kafkaUrl(): string {
  return `kafka://${kafka?.plain ?? ''}`;
}

/** A name that no other test and no other run has. */
export function unique(name: string): string {
  return `${name}-${Date.now().toString(36)}${Math.floor(Math.random() * 1e6).toString(36)}`;
}

/** Opens the log of a URL, {@link kafkaUrl} by default. */
export async function openLog(url: string = kafkaUrl()): Promise<RecordLog> {
  return await openKafkaLog({
    url,
    clock: systemClock(),
    random: systemRandom(),
    connectForMs: 5000,
  });
}

/** Connects to the broker that there is. */
export async function openCluster(url: string = kafkaUrl()): Promise<Cluster> {
  return await Cluster.open(await loadKafka(), parseKafkaUrl(url), {
    clock: systemClock(),
    retryForMs: 5000,
  });
}

/**
 * An empty log on the broker that there is, and everything that it makes deleted afterwards.
 *
 * @throws when there are topics already: whoever has given us a cluster may need them.
 */
export async function emptyLog(): Promise<OpenedLog> {
  const cluster = await openCluster();
  const there = await cluster.names();
  if (there.length > 0) {
    await cluster.close();
    throw new Error(`the cluster is not empty: it has topic ${there[0] ?? ''}; name another one`);
  }
  const opened: RecordLog[] = [];
  const open = async (): Promise<RecordLog> => {
    const log = await openLog();
    opened.push(log);
    return log;
  };
  return {
    log: await open(),
    reopen: open,
    dispose: async () => {
      for (const log of opened) await log.close();
      await deleteTopics(cluster, await cluster.names());
      await cluster.close();
    },
  };
}

/** Deletes topics and waits until they are gone. */
export async function deleteTopics(cluster: Cluster, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await cluster.call(
    { kind: 'controller' },
    cluster.library.deleteTopicsV6.api,
    [names.map((name) => ({ name })), 30_000],
    { what: 'topics cannot be deleted' },
  );
  await cluster.retry({ what: 'topics are still there after they were deleted' }, async () => {
    const left = new Set(await cluster.names());
    if (names.some((name) => left.has(name)))
      throw new cluster.library.NetworkError('topics are still there');
  });
}
