/**
 * The package that speaks Kafka's protocol. Used for connections, log-ins, codecs of compression, and the encoding of requests and responses, and
 * for nothing above them: what its clients do wrong is listed in `test/kafka/defects`.
 *
 * @module
 */
import type * as library from '@platformatic/kafka';

import { optionalPackage } from '../../core/optional-package.ts';

/** What the package exports. */
export type KafkaLibrary = typeof library;

/** Loads the package. @throws `MR_DEPENDENCY_MISSING`. */
export async function loadKafka(): Promise<KafkaLibrary> {
  return await optionalPackage(
    '@platformatic/kafka',
    'a broker with a kafka:// URL needs',
    async () => await import('@platformatic/kafka'),
    'use another broker',
  );
}
