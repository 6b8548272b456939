/**
 * What is stored of a topic when it is declared, and declared again.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { TopicSpec } from './broker.ts';
import { firstKeep, mergeKeep } from './keep.ts';

/** What is to be stored of a topic that is new. */
export function declare(spec: TopicSpec): TopicSpec {
  const { name, partitions, codec, keyCodec, role, owner } = spec;
  const keys = keyCodec === undefined ? {} : { keyCodec };
  const own = owner === undefined ? {} : { owner };
  return { name, partitions, codec, ...keys, role, ...own, ...firstKeep(spec) };
}

/** What is to be stored of a topic that is declared again; the same object if that changes nothing. @throws `MR_TOPIC_CONFLICT`. */
export function declareAgain(there: TopicSpec, wanted: TopicSpec): TopicSpec {
  if (there.owner !== wanted.owner)
    throw new MillraceError(
      'MR_TOPIC_CONFLICT',
      `topic ${wanted.name} belongs to ${ownerOf(there)} and cannot be declared by ${ownerOf(wanted)}; rename the app, or what the topic is named after`,
      { details: { topic: wanted.name, stored: there.owner, declared: wanted.owner } },
    );
  for (const field of ['partitions', 'codec', 'keyCodec', 'role'] as const)
    if (there[field] !== wanted[field])
      throw new MillraceError(
        'MR_TOPIC_CONFLICT',
        `topic ${wanted.name} is there with ${field} ${quoted(there[field])} and cannot be declared with ${quoted(wanted[field])}; declare it as it is, or use another name`,
        { details: { topic: wanted.name, field, stored: there[field], declared: wanted[field] } },
      );
  return mergeKeep(there, wanted);
}

function quoted(field: unknown): string {
  return field === undefined ? 'none' : JSON.stringify(field);
}

function ownerOf({ owner }: TopicSpec): string {
  return owner === undefined ? 'nobody in particular' : `group ${owner}`;
}

/** The error of a topic that is not there. */
export function unknownTopic(name: string): MillraceError {
  return new MillraceError(
    'MR_UNKNOWN_TOPIC',
    `there is no topic ${JSON.stringify(String(name).slice(0, 260))}; create it first, or check its name`,
    { details: { topic: name } },
  );
}
