/**
 * Runs once before the tests of this folder: a broker for all of them. `MILLRACE_KAFKA=host:port` names one that is there; tests of passwords and
 * certificates need one that is started here, and are skipped then.
 *
 * Where none can be started the tests are skipped, and say so; with `CI=true` that is a failure.
 *
 * @module
 */
import type { TestProject } from 'vitest/node';

import { kafkaMissing, startKafka } from '../../scripts/lib/kafka-server.ts';
import type { KafkaAddresses } from '../../scripts/lib/kafka-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** What there is; `null` for nothing. */
    kafka: { readonly plain: string; readonly started: KafkaAddresses | null } | null;
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  const given = process.env['MILLRACE_KAFKA'];
  if (given !== undefined && given !== '') {
    project.provide('kafka', { plain: given, started: null });
    return undefined;
  }
  const missing = await kafkaMissing();
  if (missing !== undefined) {
    if (process.env['CI'] === 'true')
      throw new Error(`the tests on kafka cannot run: ${missing}, and MILLRACE_KAFKA is not set`);
    process.stderr.write(
      `\n*** ALL TESTS ON KAFKA ARE SKIPPED: ${missing}, and MILLRACE_KAFKA is not set ***\n\n`,
    );
    project.provide('kafka', null);
    return undefined;
  }
  const server = await startKafka();
  const { plain, sasl, tls, saslTls, caPath, user } = server;
  project.provide('kafka', { plain, started: { plain, sasl, tls, saslTls, caPath, user } });
  return async () => await server.stop();
}
