/**
 * Runs an Apache Kafka broker for trying things out, until it is interrupted.
 *
 * Run: `node scripts/kafka.ts`. It prints where it listens as soon as it answers. The broker is fetched once, into `.cache/`; it takes a JDK
 * of 17 or newer, and Maven for the first time.
 *
 * @module
 */
import { kafkaMissing, startKafka } from './lib/kafka-server.ts';

const missing = await kafkaMissing();
if (missing === undefined) {
  const server = await startKafka();
  const { plain, sasl, tls, saslTls, caPath, user } = server;
  console.log(`plain     ${plain}`);
  console.log(`sasl      ${sasl} (${user.name}, ${JSON.stringify(user.password)})`);
  console.log(`tls       ${tls} (certificate ${caPath})`);
  console.log(`sasl, tls ${saslTls}`);
  console.log('stop it with Ctrl-C');
  await new Promise<void>((interrupted) => {
    // The timer keeps the process alive.
    const timer = setInterval(() => {}, 60_000);
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => {
        clearInterval(timer);
        interrupted();
      });
  });
  await server.stop();
} else {
  console.error(`kafka cannot be started: ${missing}`);
  process.exitCode = 1;
}
