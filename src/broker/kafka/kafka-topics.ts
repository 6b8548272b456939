/**
 * Topics as Kafka has them: creating them with what they need, looking at what they have.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { TopicSpec } from '../broker.ts';
import type { Cluster } from './cluster.ts';
import { troubleOf } from './errors.ts';

const CREATE_MS = 30_000;
const TOPIC_RESOURCE = 2;
const SET = 0 as const;

/** What a topic is created with. */
export interface KafkaTopic {
  readonly name: string;
  readonly partitions: number;
  /** −1: what the brokers have as default. */
  readonly replication: number;
  readonly configs: Readonly<Record<string, string>>;
}

/** Creates a topic and waits until all of it can be written. One that is there is left as it is. */
export async function createKafkaTopic(cluster: Cluster, topic: KafkaTopic): Promise<void> {
  const { name, partitions, replication, configs } = topic;
  const what = `topic ${name} cannot be created`;
  await cluster.retry({ what, details: { topic: name } }, async () => {
    try {
      await cluster.attempt({ kind: 'controller' }, cluster.library.createTopicsV7.api, [
        [
          {
            name,
            numPartitions: partitions,
            replicationFactor: replication,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        CREATE_MS,
        false,
      ]);
    } catch (error) {
      if (!troubleOf(error).reported.includes('TOPIC_ALREADY_EXISTS')) throw error;
    }
  });
  await cluster.retry({ what, details: { topic: name }, waitAtMostMs: 50 }, async () => {
    const there = await cluster.topic(name, true);
    if (there === undefined || there.leaders.length === 0 || there.leaders.some((id) => id < 0))
      throw new cluster.library.NetworkError(`topic ${name} has no leaders yet`);
  });
}

/** What Kafka is to do with a topic of ours. */
export function configsOf({ role, keep }: TopicSpec): Record<string, string> {
  // Event times are what they are: brokers would refuse those that are an hour ahead of their clock.
  const times = { 'message.timestamp.after.max.ms': String(2n ** 63n - 1n) };
  if (role === 'changelog')
    return { ...times, 'cleanup.policy': 'compact', 'delete.retention.ms': '604800000' };
  // Deleted when it was read, never by time.
  if (role === 'repartition')
    return { ...times, 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' };
  return { ...times, ...keepConfigs(keep) };
}

/** What a declaration of how long to keep records means in Kafka. */
export function keepConfigs(keep: TopicSpec['keep']): Record<string, string> {
  const { retentionMs = null, retentionBytes = null, compact = false } = keep ?? {};
  const limited = retentionMs !== null || retentionBytes !== null;
  return {
    'cleanup.policy': compact ? (limited ? 'compact,delete' : 'compact') : 'delete',
    'retention.ms': String(retentionMs ?? -1),
    'retention.bytes': String(retentionBytes ?? -1),
  };
}

/** Changes configurations of a topic. @throws `MR_PERMISSION`, `MR_IO`, `MR_OPTION_INVALID`. */
export async function alterConfigs(
  cluster: Cluster,
  name: string,
  configs: Readonly<Record<string, string>>,
): Promise<void> {
  await cluster.call(
    { kind: 'controller' },
    cluster.library.incrementalAlterConfigsV1.api,
    [
      [
        {
          resourceType: TOPIC_RESOURCE,
          resourceName: name,
          configs: Object.entries(configs).map(([key, value]) => ({
            name: key,
            configOperation: SET,
            value,
          })),
        },
      ],
      false,
    ],
    { what: `topic ${name} cannot be configured`, details: { topic: name } },
  );
}

/**
 * Checks that a topic which is there can do what its role asks for.
 *
 * @throws `MR_TOPIC_CONFLICT` naming what differs.
 */
export async function checkKafkaTopic(cluster: Cluster, spec: TopicSpec): Promise<void> {
  const { name, partitions, role } = spec;
  const there = (await cluster.topic(name))?.leaders.length ?? 0;
  if (there !== partitions)
    throw conflict(
      spec,
      'partitions',
      there,
      partitions,
      'declare as many as it has, or use another name',
    );
  if (role === 'source') return;
  const answer = await cluster.call(
    { kind: 'any' },
    cluster.library.describeConfigsV4.api,
    [
      [
        {
          resourceType: TOPIC_RESOURCE,
          resourceName: name,
          configurationKeys: ['cleanup.policy', 'retention.ms'],
        },
      ],
    ],
    { what: `the configuration of topic ${name} cannot be read`, details: { topic: name } },
  );
  const configs = new Map(answer.results[0]?.configs.map((config) => [config.name, config.value]));
  const policy = configs.get('cleanup.policy') ?? '';
  const wanted = configsOf(spec)['cleanup.policy'] as string;
  if (policy !== wanted)
    throw conflict(
      spec,
      'cleanup.policy',
      policy,
      wanted,
      'change its configuration with the tools of Kafka',
    );
  // What is compacted is kept by key, whatever the time.
  const retention = configs.get('retention.ms') ?? '-1';
  if (role === 'repartition' && retention !== '-1')
    throw conflict(
      spec,
      'retention.ms',
      retention,
      '-1',
      'change its configuration with the tools of Kafka',
    );
}

function conflict(
  { name, role }: TopicSpec,
  field: string,
  stored: unknown,
  declared: unknown,
  help: string,
): MillraceError {
  return new MillraceError(
    'MR_TOPIC_CONFLICT',
    `the ${role} topic ${name} is there with ${field} ${JSON.stringify(stored)}, and ${JSON.stringify(declared)} is needed; ${help}`,
    { details: { topic: name, field, stored, declared } },
  );
}
