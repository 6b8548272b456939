/**
 * Errors are data: a code that programs act on, a domain that says whose fault it is, and whether trying again can help.
 * Nothing in millrace parses a message.
 *
 * @module
 */

/** Who can mend it: the program that called, something outside (disk, network, another process), or millrace itself. */
export type ErrorDomain = 'user' | 'external' | 'internal';

/** Every code that millrace throws. The union is the contract, the texts are not. */
export type ErrorCode =
  // core
  | 'MR_ARGUMENT_INVALID'
  | 'MR_ABORTED'
  | 'MR_CLOSED'
  | 'MR_OVERFLOW'
  | 'MR_INTERNAL'
  // stream and app declarations
  | 'MR_NOT_IN_AN_APP'
  | 'MR_TEMPLATE'
  | 'MR_SNAPSHOT_INVALID'
  | 'MR_NAME_INVALID'
  | 'MR_NAME_TAKEN'
  | 'MR_NAME_MISSING'
  | 'MR_OPTION_INVALID'
  | 'MR_TOPOLOGY_INVALID'
  | 'MR_TOPOLOGY_CHANGED'
  // codec
  | 'MR_ENCODE_FAILED'
  | 'MR_DECODE_FAILED'
  | 'MR_SCHEMA_VIOLATION'
  | 'MR_KEY_INVALID'
  | 'MR_RECORD_TOO_LARGE'
  | 'MR_TIMESTAMP_INVALID'
  // kv and broker
  | 'MR_DISK_FULL'
  | 'MR_IO'
  | 'MR_PERMISSION'
  | 'MR_IN_USE'
  | 'MR_VERSION_UNSUPPORTED'
  | 'MR_CORRUPT'
  | 'MR_URL_INVALID'
  | 'MR_UNKNOWN_TOPIC'
  | 'MR_TOPIC_CONFLICT'
  | 'MR_OFFSET_LOST'
  | 'MR_FENCED'
  | 'MR_DEPENDENCY_MISSING'
  | 'MR_NO_OWNER'
  | 'MR_TIMEOUT'
  | 'MR_STALLED'
  // processing
  | 'MR_PROCESSING_FAILED'
  | 'MR_KEY_MISSING'
  | 'MR_CO_PARTITION'
  | 'MR_TABLE_OUTSIDE'
  | 'MR_SEND_OUTSIDE'
  | 'MR_TABLE_OWNED'
  | 'MR_STOP_TIMEOUT'
  | 'MR_JOB_FAILED'
  | 'MR_NO_REPLY'
  // command line
  | 'MR_MODULE_FAILED';

export interface MillraceErrorOptions {
  /** Default `'user'`. */
  readonly domain?: ErrorDomain | undefined;
  /** Whether the same call may succeed later without a change. Default `false`. */
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
  /** What a program may want to read instead of the text: topic, partition, offset, key, path. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** The one error class of millrace. Recognise it with {@link MillraceError.is} and act on its {@link MillraceError.code}. */
export class MillraceError extends Error {
  readonly code: ErrorCode;
  readonly domain: ErrorDomain;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: MillraceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MillraceError';
    this.code = code;
    this.domain = options.domain ?? 'user';
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }

  /** True for a MillraceError of any copy of this package: it looks at the code, not at the class. */
  static is(value: unknown): value is MillraceError {
    return (
      value instanceof Error &&
      'code' in value &&
      typeof value.code === 'string' &&
      value.code.startsWith('MR_')
    );
  }
}

/** An event reached a table whose shard for its key lives in another task. Names topic, table and the missing `groupBy`. */
export class CoPartitionError extends MillraceError {
  constructor(message: string, details: Readonly<Record<string, unknown>>) {
    super('MR_CO_PARTITION', message, { details });
    this.name = 'CoPartitionError';
  }
}

/** The message of anything that was thrown; never throws itself. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  try {
    return String(error);
  } catch {
    return `a thrown ${typeof error} without a text`;
  }
}

/** A promise of millrace to itself that was broken: a defect in millrace, with the state that shows it. */
export function assert(
  condition: boolean,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition)
    throw new MillraceError(
      'MR_INTERNAL',
      `${message}; this is a defect in millrace, please report it`,
      {
        domain: 'internal',
        details,
      },
    );
}
