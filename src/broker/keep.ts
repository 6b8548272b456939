/**
 * How long a topic is kept: what may be declared, and by whom.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { TopicKeep, TopicSpec } from './broker.ts';
import { internalName } from './checks.ts';

const MIN_RETENTION_MS = 1000;
const MIN_RETENTION_BYTES = 1024 * 1024;

/** Checks the part of a declaration that is about keeping. @throws `MR_OPTION_INVALID`, `MR_NAME_INVALID`. */
export function checkKeep(spec: TopicSpec): void {
  const { name, keep, declaredBy } = spec;
  if (declaredBy !== undefined) internalName('declarer', declaredBy);
  if (keep === undefined) return;
  if (spec.role !== 'source')
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `topic ${name} is a ${spec.role} topic, whose records go when they are not needed any more; declare how long to keep them for source topics only`,
      { details: { topic: name, role: spec.role } },
    );
  const { retentionMs, retentionBytes, compact } = keep;
  if (retentionMs !== null && !(Number.isFinite(retentionMs) && retentionMs >= MIN_RETENTION_MS))
    throw invalid(
      name,
      'retentionMs',
      retentionMs,
      `milliseconds, at least ${MIN_RETENTION_MS}, or null`,
    );
  if (
    retentionBytes !== null &&
    !(Number.isSafeInteger(retentionBytes) && retentionBytes >= MIN_RETENTION_BYTES)
  )
    throw invalid(
      name,
      'retentionBytes',
      retentionBytes,
      `a whole number of bytes, at least ${MIN_RETENTION_BYTES}, or null`,
    );
  if (typeof compact !== 'boolean') throw invalid(name, 'compact', compact, 'true or false');
}

/**
 * What is stored of a topic after it is declared again.
 *
 * @throws `MR_TOPIC_CONFLICT` when somebody else declares something different.
 */
export function mergeKeep(there: TopicSpec, wanted: TopicSpec): TopicSpec {
  if (wanted.keep === undefined || sameKeep(there.keep, wanted.keep)) return there;
  if (there.keep !== undefined && there.declaredBy !== wanted.declaredBy)
    throw new MillraceError(
      'MR_TOPIC_CONFLICT',
      `${nameOf(wanted)} wants topic ${wanted.name} to be kept ${describe(wanted.keep)}, but ${nameOf(there)} has declared that it is kept ${describe(there.keep)}; declare the same in both, or leave it out in one`,
      {
        details: {
          topic: wanted.name,
          stored: there.keep,
          storedBy: there.declaredBy,
          declared: wanted.keep,
          declaredBy: wanted.declaredBy,
        },
      },
    );
  const { retentionMs, retentionBytes, compact } = wanted.keep;
  const { keep: _, declaredBy: __, ...rest } = there;
  return {
    ...rest,
    keep: { retentionMs, retentionBytes, compact },
    ...(wanted.declaredBy === undefined ? {} : { declaredBy: wanted.declaredBy }),
  };
}

/** The declaration of a topic that is new. */
export function firstKeep(spec: TopicSpec): Pick<TopicSpec, 'keep' | 'declaredBy'> {
  if (spec.keep === undefined) return {};
  const { retentionMs, retentionBytes, compact } = spec.keep;
  const keep = { retentionMs, retentionBytes, compact };
  return spec.declaredBy === undefined ? { keep } : { keep, declaredBy: spec.declaredBy };
}

function sameKeep(a: TopicKeep | undefined, b: TopicKeep): boolean {
  return (
    a !== undefined &&
    a.retentionMs === b.retentionMs &&
    a.retentionBytes === b.retentionBytes &&
    a.compact === b.compact
  );
}

function nameOf({ declaredBy }: TopicSpec): string {
  return declaredBy ?? 'somebody without a name';
}

function describe({ retentionMs, retentionBytes, compact }: TopicKeep): string {
  const rules = [
    ...(retentionMs === null ? [] : [`for ${retentionMs} ms`]),
    ...(retentionBytes === null ? [] : [`up to ${retentionBytes} bytes`]),
    ...(compact ? ['compacted'] : []),
  ];
  return rules.length === 0 ? 'for ever' : rules.join(', ');
}

function invalid(topic: string, option: string, value: unknown, expected: string): MillraceError {
  return new MillraceError(
    'MR_OPTION_INVALID',
    `${option} of topic ${topic} is ${String(value)}; give ${expected}`,
    { details: { topic, option } },
  );
}
