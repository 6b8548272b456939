/**
 * A real Apache Kafka broker for tests and benchmarks: one node (KRaft), fetched once from Maven into `.cache/`, run by a JDK of 17 or newer.
 *
 * It listens on free ports of 127.0.0.1: without anything, with SASL, with TLS, and with both. Its data is in a directory of its own, which goes when
 * it is stopped. A broker whose starter dies is stopped too: it lives only as long as a pipe is open.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { run } from './run.ts';

/** Newer ones are published in part only. */
const VERSION = '4.3.1';
const LOG4J_VERSION = '2.25.4';
const LEAST_JAVA = 17;
const READY_MS = 120_000;
const FETCH_MS = 300_000;
const STOP_SECONDS = 20;
/** Somebody else may take a port between looking for it and listening. */
const ATTEMPTS = 3;
/** Names the cluster: 16 bytes in base64url. */
const CLUSTER_ID = 'bWlsbHJhY2UtdGVzdHMtMQ';
const STORE_PASSWORD = 'only-for-tests';

/** Who may log in to the listeners with SASL, with PLAIN and SCRAM alike. */
export interface KafkaUser {
  readonly name: string;
  readonly password: string;
}

/** Where a broker can be reached: `host:port` each. */
export interface KafkaAddresses {
  readonly plain: string;
  readonly sasl: string;
  readonly tls: string;
  readonly saslTls: string;
  /** PEM file with the certificate that the listeners with TLS are to be trusted by. */
  readonly caPath: string;
  readonly user: KafkaUser;
}

/** A running broker. */
export interface KafkaServer extends KafkaAddresses {
  /** Stops it and deletes its data. Idempotent. */
  stop(): Promise<void>;
}

/** How a broker is started. */
export interface KafkaServerOptions {
  /** Where the broker is kept between runs. Default `.cache`. */
  readonly cache?: string | undefined;
  /** Lines of `server.properties` beside those that tests need; they win. */
  readonly properties?: Readonly<Record<string, string>> | undefined;
}

/** Why no broker can be started here, or nothing when one can. */
export async function kafkaMissing(cache = '.cache'): Promise<string | undefined> {
  const java = await run('java', ['-version']);
  const version = Number(/version "(\d+)/.exec(java.output)?.[1] ?? 0);
  if (java.status !== 0) return `there is no java, ${LEAST_JAVA} or newer`;
  if (version < LEAST_JAVA) return `java is ${version}, and ${LEAST_JAVA} or newer is needed`;
  if (existsSync(jars(cache))) return undefined;
  const maven = await run('mvn', ['--version']);
  return maven.status === 0 ? undefined : 'there is no mvn to fetch the broker with';
}

/** Starts a broker and waits until it answers; takes some five seconds, and a minute when it is to be fetched first. */
export async function startKafka(options: KafkaServerOptions = {}): Promise<KafkaServer> {
  const cache = resolve(options.cache ?? '.cache');
  await fetchJars(cache);
  const store = await makeKeys(cache);
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(cache, store, options.properties ?? {});
    } catch (error) {
      if (attempt === ATTEMPTS || !/already in use|BindException/.test(String(error))) throw error;
    }
  }
}

/**
 * Runs a program of one Java file with the broker's jars, among them Kafka's own client, and gives what it prints; nothing when the jars are not
 * there.
 */
export async function runWithKafka(
  file: string,
  args: readonly string[],
  cache = '.cache',
): Promise<string | undefined> {
  if (!existsSync(jars(cache))) return undefined;
  const finished = await run('java', ['-cp', `${jars(cache)}/*`, file, ...args]);
  if (finished.status !== 0) throw new Error(`${file} failed:\n${finished.output.slice(-4000)}`);
  return finished.stdout;
}

function home(cache: string): string {
  return join(cache, `kafka-${VERSION}`);
}

function jars(cache: string): string {
  return join(home(cache), 'libs');
}

async function fetchJars(cache: string): Promise<void> {
  if (existsSync(jars(cache))) return;
  await mkdir(home(cache), { recursive: true });
  // Two runs may fetch at once: each in a folder of its own, which becomes the common one whole.
  const folder = await mkdtemp(join(home(cache), 'fetch-'));
  try {
    await writeFile(join(folder, 'pom.xml'), pom());
    const fetched = await run(
      'mvn',
      [
        '--batch-mode',
        '--no-transfer-progress',
        '--quiet',
        'dependency:copy-dependencies',
        `-DoutputDirectory=${join(folder, 'libs')}`,
        '-DincludeScope=runtime',
      ],
      { cwd: folder, timeoutMs: FETCH_MS },
    );
    if (fetched.status !== 0)
      throw new Error(`kafka ${VERSION} cannot be fetched:\n${fetched.output.slice(-4000)}`);
    await rename(join(folder, 'libs'), jars(cache)).catch((error: unknown) => {
      if (!existsSync(jars(cache))) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function dependency(group: string, name: string, version: string): string {
  return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
}

function pom(): string {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>millrace</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
<dependencies>
${dependency('org.apache.kafka', 'kafka_2.13', VERSION)}
${dependency('org.apache.logging.log4j', 'log4j-slf4j-impl', LOG4J_VERSION)}
</dependencies></project>
`;
}

interface KeyStore {
  readonly path: string;
  readonly caPath: string;
}

/** A key that nobody has signed, for 127.0.0.1 and localhost. */
async function makeKeys(cache: string): Promise<KeyStore> {
  const folder = join(home(cache), 'keys');
  const store = { path: join(folder, 'server.p12'), caPath: join(folder, 'ca.pem') };
  if (existsSync(folder)) return store;
  const fresh = await mkdtemp(join(home(cache), 'keys-'));
  const common = [
    '-alias',
    'broker',
    '-keystore',
    join(fresh, 'server.p12'),
    '-storetype',
    'PKCS12',
    '-storepass',
    STORE_PASSWORD,
  ];
  const made = await run('keytool', [
    '-genkeypair',
    ...common,
    '-keyalg',
    'EC',
    '-groupname',
    'secp256r1',
    '-validity',
    '3650',
    '-dname',
    'CN=millrace-tests',
    '-ext',
    'SAN=IP:127.0.0.1,DNS:localhost',
  ]);
  const exported = await run('keytool', [
    '-exportcert',
    '-rfc',
    ...common,
    '-file',
    join(fresh, 'ca.pem'),
  ]);
  if (made.status !== 0 || exported.status !== 0)
    throw new Error(`keytool cannot make a key:\n${made.output}${exported.output}`);
  await rename(fresh, folder).catch(async (error: unknown) => {
    await rm(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  });
  return store;
}

async function startOnce(
  cache: string,
  store: KeyStore,
  extra: Readonly<Record<string, string>>,
): Promise<KafkaServer> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-kafka-'));
  let child: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    await stopChild(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const [plain, sasl, tls, saslTls, controller] = (await freePorts(5)) as Ports;
    const user = { name: 'alice', password: 'correct horse' };
    const file = join(directory, 'server.properties');
    const properties = {
      ...propertiesOf({ plain, sasl, tls, saslTls, controller }, directory, store, user),
      ...extra,
    };
    await writeFile(
      file,
      Object.entries(properties)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    );
    await writeFile(join(directory, 'log4j2.properties'), LOGGING);
    const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${user.name},password="${user.password}"]`,
    ]);
    const formatted = await run('java', [
      ...javaOptions(cache, directory),
      'kafka.tools.StorageTool',
      'format',
      '-t',
      CLUSTER_ID,
      '-c',
      file,
      ...scram,
    ]);
    if (formatted.status !== 0)
      throw new Error(`the storage of kafka cannot be made:\n${formatted.output.slice(-4000)}`);
    child = await launch([...javaOptions(cache, directory), 'kafka.Kafka', file], directory);
    return {
      plain: local(plain),
      sasl: local(sasl),
      tls: local(tls),
      saslTls: local(saslTls),
      caPath: store.caPath,
      user,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Ports = [number, number, number, number, number];

function local(port: number): string {
  return `127.0.0.1:${port}`;
}

function javaOptions(cache: string, directory: string): string[] {
  return [
    '-Xms128m',
    '-Xmx512m',
    '-XX:+UseSerialGC',
    '-Djava.awt.headless=true',
    `-Dlog4j2.configurationFile=${join(directory, 'log4j2.properties')}`,
    '-cp',
    `${jars(cache)}/*`,
  ];
}

const LOGGING = `appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %c{1} %m%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
`;

/** Short times, small internal topics, and nothing that comes into being by itself. */
function propertiesOf(
  ports: Readonly<Record<'plain' | 'sasl' | 'tls' | 'saslTls' | 'controller', number>>,
  directory: string,
  store: KeyStore,
  { name, password }: KafkaUser,
): Record<string, string> {
  const clients = [
    `PLAIN://127.0.0.1:${ports.plain}`,
    `SASL://127.0.0.1:${ports.sasl}`,
    `TLS://127.0.0.1:${ports.tls}`,
    `SASLTLS://127.0.0.1:${ports.saslTls}`,
  ].join(',');
  const login = 'org.apache.kafka.common.security';
  const mechanisms = {
    plain: `${login}.plain.PlainLoginModule required user_${name}="${password}";`,
    'scram-sha-256': `${login}.scram.ScramLoginModule required;`,
    'scram-sha-512': `${login}.scram.ScramLoginModule required;`,
    oauthbearer: `${login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="${name}";`,
  };
  const logins: Record<string, string> = {};
  for (const listener of ['sasl', 'sasltls']) {
    const names = Object.keys(mechanisms).join(',').toUpperCase();
    logins[`listener.name.${listener}.sasl.enabled.mechanisms`] = names;
    for (const [mechanism, config] of Object.entries(mechanisms))
      logins[`listener.name.${listener}.${mechanism}.sasl.jaas.config`] = config;
  }
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${ports.controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `${clients},CONTROLLER://127.0.0.1:${ports.controller}`,
    'advertised.listeners': clients,
    'listener.security.protocol.map':
      'PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL',
    'inter.broker.listener.name': 'PLAIN',
    'log.dirs': join(directory, 'data'),
    'ssl.keystore.location': store.path,
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.password': STORE_PASSWORD,
    'auto.create.topics.enable': 'false',
    'default.replication.factor': '1',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '500',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    'log.cleaner.backoff.ms': '500',
    'log.cleaner.dedupe.buffer.size': '16777216',
    'log.retention.check.interval.ms': '1000',
    // Tests delete what they like at once.
    'log.segment.delete.delay.ms': '0',
    'message.max.bytes': '16777216',
    'num.network.threads': '2',
    'num.io.threads': '4',
    ...logins,
  };
}

/** Runs the broker for as long as our end of a pipe is open; ends it with SIGTERM then, and with SIGKILL if that does not help. */
const KEEPER = `exec 3<&0
"$@" </dev/null &
broker=$!
( cat <&3; kill -TERM $broker; sleep ${STOP_SECONDS}; kill -KILL $broker ) >/dev/null 2>&1 &
keeper=$!
wait $broker
kill $keeper 2>/dev/null
exit 0
`;

async function launch(args: readonly string[], directory: string): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', KEEPER, 'kafka', 'java', ...args], {
    cwd: directory,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const log: Buffer[] = [];
  await new Promise<void>((started, failed) => {
    const timer = setTimeout(() => {
      failed(new Error(`kafka is not ready after ${READY_MS} ms:\n${tail(log)}`));
    }, READY_MS);
    child.once('error', failed);
    child.once('exit', () => {
      clearTimeout(timer);
      failed(new Error(`kafka ended while it was started:\n${tail(log)}`));
    });
    child.stderr.on('data', (chunk: Buffer) => log.push(chunk));
    child.stdout.on('data', (chunk: Buffer) => {
      log.push(chunk);
      if (!tail(log).includes('Kafka Server started')) return;
      clearTimeout(timer);
      started();
    });
  }).catch(async (error: unknown) => {
    await stopChild(child);
    throw error;
  });
  // What it says from now on is nobody's, but the pipes must not fill up.
  for (const stream of [child.stdout, child.stderr]) stream.removeAllListeners('data').resume();
  child.unref();
  return child;
}

function tail(log: readonly Buffer[]): string {
  return Buffer.concat(log).toString('utf8').slice(-4000);
}

async function stopChild(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolveEnded) => child.once('exit', () => resolveEnded()));
  child.ref();
  child.stdin?.end();
  await ended;
  child.stdout?.destroy();
  child.stderr?.destroy();
}

/** Ports that nobody listens on, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((listening, failed) => {
        server.once('error', failed).listen(0, '127.0.0.1', listening);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(
    servers.map((server) => new Promise<void>((closed) => server.close(() => closed()))),
  );
  return ports;
}
