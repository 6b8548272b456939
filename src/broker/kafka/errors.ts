/**
 * What brokers and connections report, as errors of millrace: what happened, whose fault it is, what to try.
 *
 * The library's own errors carry requests and responses; of them only texts go on.
 *
 * @module
 */
import { messageOf, MillraceError } from '../../core/errors.ts';
import type { ErrorCode, ErrorDomain } from '../../core/errors.ts';

/** What an error of the library says, found anywhere in it. */
export interface Trouble {
  /** Names of what the broker has reported: `UNKNOWN_TOPIC_OR_PARTITION`; empty when none has answered. */
  readonly reported: readonly string[];
  /** What brokers have said in words. */
  readonly said: readonly string[];
  /** The connection failed, or the answer did not come in time. */
  readonly network: boolean;
  /** Codes of the platform, of TLS and sockets. */
  readonly codes: readonly string[];
  readonly texts: readonly string[];
}

/** Errors that pass: a leader moves, a coordinator is loading its part of the log. */
const PASSING: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_CONTROLLER',
  'CONCURRENT_TRANSACTIONS',
  'UNSTABLE_OFFSET_COMMIT',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_ID',
  'THROTTLING_QUOTA_EXCEEDED',
]);

const FENCED: ReadonlySet<string> = new Set([
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_EPOCH',
  'FENCED_INSTANCE_ID',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
]);

const UNTRUSTED =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_CA|ERR_SSL_)/;

/** Looks into an error, its causes and what it collects. */
export function troubleOf(error: unknown): Trouble {
  const reported: string[] = [];
  const said: string[] = [];
  const codes: string[] = [];
  const texts: string[] = [];
  let network = false;
  const seen = new Set<unknown>();
  const look = (one: unknown): void => {
    if (!(one instanceof Error) || seen.has(one) || seen.size > 100) return;
    seen.add(one);
    const { apiId, serverErrorMessage, code, errors, cause } = one as Error & {
      apiId?: unknown;
      serverErrorMessage?: unknown;
      code?: unknown;
      errors?: unknown;
    };
    if (typeof apiId === 'string') reported.push(apiId);
    if (typeof serverErrorMessage === 'string') said.push(serverErrorMessage);
    if (typeof code === 'string') {
      if (code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_TIMEOUT') network = true;
      codes.push(code);
    }
    texts.push(one.message);
    for (const inner of Array.isArray(errors) ? (errors as unknown[]) : []) look(inner);
    look(cause);
  };
  look(error);
  return { reported, said, network, codes, texts };
}

/** Whether the same call may succeed a little later. Log-ins and certificates that are refused do not get better. */
export function passes({ reported, network, codes }: Trouble): boolean {
  if (codes.some((code) => UNTRUSTED.test(code) || code === 'PLT_KFK_AUTHENTICATION')) return false;
  if (codes.includes('PLT_KFK_USER')) return false;
  return reported.length === 0 ? network : reported.every((name) => PASSING.has(name));
}

/** The error for whoever called. `what` says what was tried: `'records cannot be appended to t[0]'`. */
export function kafkaError(
  error: unknown,
  what: string,
  details: Readonly<Record<string, unknown>> = {},
): MillraceError {
  if (MillraceError.is(error)) return error;
  const trouble = troubleOf(error);
  const { code, domain, why, retryable } = judge(trouble);
  return new MillraceError(code, `${what}: ${why}`, {
    domain,
    retryable,
    cause: new Error(
      [...trouble.reported, ...trouble.said, ...trouble.texts].join('; ').slice(0, 2000),
    ),
    details: { ...details, ...(trouble.reported.length > 0 ? { kafka: trouble.reported[0] } : {}) },
  });
}

interface Verdict {
  readonly code: ErrorCode;
  readonly domain: ErrorDomain;
  readonly why: string;
  readonly retryable: boolean;
}

/** What the program that called can mend. */
function user(code: ErrorCode, why: string): Verdict {
  return { code, domain: 'user', why, retryable: false };
}

function outside(code: ErrorCode, why: string, retryable = false): Verdict {
  return { code, domain: 'external', why, retryable };
}

function judge(trouble: Trouble): Verdict {
  const { reported, codes, texts, said } = trouble;
  const has = (...names: string[]): boolean => names.some((name) => reported.includes(name));
  if (has('SASL_AUTHENTICATION_FAILED') || codes.includes('PLT_KFK_AUTHENTICATION')) {
    if (has('UNSUPPORTED_SASL_MECHANISM', 'ILLEGAL_SASL_STATE'))
      return user(
        'MR_PERMISSION',
        'the brokers do not log in that way here; give mechanism= in the URL, and the port of a listener with SASL',
      );
    return user(
      'MR_PERMISSION',
      'the brokers refuse user and password; look at both, and at mechanism= in the URL',
    );
  }
  const untrusted = codes.find((code) => UNTRUSTED.test(code));
  if (untrusted !== undefined)
    return user(
      'MR_PERMISSION',
      `the certificate of the brokers is not trusted or TLS fails (${untrusted}); give ca= in the URL, with the certificate of who has signed it, and the port of a listener with TLS`,
    );
  if (texts.some((text) => text.includes('TLS handshake failed')))
    return user(
      'MR_PERMISSION',
      'the brokers do not speak TLS here; give the port of a listener with TLS, or leave tls out of the URL',
    );
  if (texts.some((text) => text.includes('requires TLS')))
    return user('MR_PERMISSION', 'the brokers want TLS here; give tls=true in the URL');
  const refused = reported.find((name) => name.endsWith('_AUTHORIZATION_FAILED'));
  if (refused !== undefined)
    return user(
      'MR_PERMISSION',
      `the user may not do that (${refused}); ask for the right on the ${refused.split('_')[0]?.toLowerCase() ?? 'cluster'}`,
    );
  if (has('UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID'))
    return user('MR_UNKNOWN_TOPIC', 'the brokers have no such topic or partition');
  if (has('MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'))
    return user(
      'MR_RECORD_TOO_LARGE',
      'a record is larger than the topic takes; send less, or raise max.message.bytes of the topic',
    );
  if (has('INVALID_TIMESTAMP'))
    return user(
      'MR_TIMESTAMP_INVALID',
      'the brokers refuse a timestamp; look at message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic',
    );
  if (has('INVALID_TOPIC_EXCEPTION')) return user('MR_NAME_INVALID', 'the brokers refuse the name');
  if (has('INVALID_REPLICATION_FACTOR', 'INVALID_PARTITIONS', 'INVALID_CONFIG', 'POLICY_VIOLATION'))
    return user(
      'MR_OPTION_INVALID',
      `the brokers refuse it (${[reported[0], ...said].join(': ')})`,
    );
  if (reported.some((name) => FENCED.has(name)))
    return outside('MR_FENCED', 'somebody newer has taken the place of this producer or member');
  if (has('UNSUPPORTED_VERSION') || codes.includes('PLT_KFK_UNSUPPORTED_API'))
    return outside(
      'MR_VERSION_UNSUPPORTED',
      'the brokers are too old; millrace needs Kafka 3.2 or newer',
    );
  const [name] = reported;
  return outside(
    'MR_IO',
    name === undefined
      ? `the brokers cannot be reached (${codes.find((code) => /^E[A-Z]+$/.test(code)) ?? texts.at(-1) ?? messageOf(undefined)}); see whether they run and the address is right`
      : `the brokers report ${[name, ...said].join(': ')}`,
    passes(trouble),
  );
}
