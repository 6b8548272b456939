/**
 * Validation by Standard Schema, so that users bring zod, valibot, arktype or their own.
 *
 * A topic's bytes are the encoded *input* of its schema: senders give the input, readers get the output. Not in it: bytes.
 *
 * @see https://standardschema.dev
 * @module
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';

import { messageOf, MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import { untraced } from '../core/untraced.ts';
import type { Codec } from './codec.ts';
import { excerpt } from './excerpt.ts';

/** A schema that takes `In` and gives `Out`; they differ where it transforms or fills in defaults. */
export type Schema<Out, In = Out> = StandardSchemaV1<In, Out>;

/**
 * When values are checked: `'in'` when they are sent, `'out'` when they are read, `'both'` (the default), or `'off'`.
 * Where reading is not checked, readers get what was sent, neither transformed nor filled in.
 */
export type Validate = 'both' | 'in' | 'out' | 'off';

/** Checks one value and returns the schema's output. @throws {@link MillraceError} `MR_SCHEMA_VIOLATION`. */
export type Validator<Out> = (value: unknown) => Out;

/** How a {@link Validator} refuses a value. */
export interface ValidatorOptions {
  /** Whether the error has a stack trace. Of use to whoever has passed the value, not where it was read. Default `true`. */
  readonly traced?: boolean | undefined;
}

const UNCHECKED = 'millrace-unchecked';
const MAX_ISSUES = 5;
const MAX_MESSAGE = 200;

/** A type without a check at run time: `value: unchecked<Order>()`. */
export function unchecked<T>(): Schema<T> {
  return {
    '~standard': {
      version: 1,
      vendor: UNCHECKED,
      // The promise that the caller makes, and the only place where it is taken on trust.
      validate: (value) => ({ value: value as T }),
    },
  };
}

/** True for what {@link unchecked} made: validation can be left out, not just be quick. */
export function isUnchecked(schema: Schema<unknown, unknown>): boolean {
  return schema['~standard'].vendor === UNCHECKED;
}

/**
 * A function that checks values against `schema`. `where` says what is checked, for the error: `"a value of topic 'orders'"`.
 *
 * It throws `MR_SCHEMA_VIOLATION` with the first {@link MAX_ISSUES} issues in its text and all of them in `details.issues` as
 * `{ path, message }`, also when the schema itself throws; and `MR_OPTION_INVALID` for a schema that answers with a promise:
 * schemas of topics and tables must be synchronous. (A zod schema answers with a promise when a function in it throws.)
 */
export function validator<Out>(
  schema: Schema<Out, unknown>,
  where: string,
  options: ValidatorOptions = {},
): Validator<Out> {
  const made = options.traced === false ? untraced : traced;
  const standard: StandardSchemaV1.Props<unknown, Out> = schema['~standard'];
  if (isUnchecked(schema)) return (value) => value as Out;
  return (value) => {
    let result: ReturnType<typeof standard.validate>;
    try {
      result = standard.validate(value);
    } catch (error) {
      const text = `${where} could not be checked, its schema threw: ${messageOf(error).slice(0, MAX_MESSAGE)}; the value is ${excerpt(value)}`;
      const details = { where, issues: [] };
      throw made(() => new MillraceError('MR_SCHEMA_VIOLATION', text, { cause: error, details }));
    }
    if (isPromise(result)) throw asynchronous(result, where, standard.vendor);
    if (result.issues !== undefined) {
      const [text, details] = violation(result.issues, where, value);
      throw made(() => new MillraceError('MR_SCHEMA_VIOLATION', text, { details }));
    }
    return result.value;
  };
}

/** Whether `value` is a Standard Schema, which may be an object or a function. */
export function isSchema(value: unknown): value is Schema<unknown, unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard: unknown = Reflect.get(value, '~standard');
  return (
    typeof standard === 'object' &&
    standard !== null &&
    'version' in standard &&
    standard.version === 1 &&
    'validate' in standard &&
    typeof standard.validate === 'function'
  );
}

/** Whether `value` is a codec. Tells the two apart where an option takes either. */
export function isCodec(value: unknown): value is Codec<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'encode' in value &&
    typeof value.encode === 'function' &&
    'decode' in value &&
    typeof value.decode === 'function'
  );
}

function asynchronous(answer: Promise<unknown>, where: string, vendor: string): MillraceError {
  // Its outcome is of no interest, but a rejection that nobody handles would end the process.
  answer.then(undefined, () => undefined);
  return new MillraceError(
    'MR_OPTION_INVALID',
    `the schema (${vendor}) of ${where} answered with a promise; schemas must be synchronous here, do what is asynchronous in an agent or a map; if it is synchronous, something in it threw, which zod answers with a promise too`,
    { details: { where, vendor } },
  );
}

function traced<E extends Error>(make: () => E): E {
  return make();
}

/** What is wrong with a value: text and details. */
function violation(
  issues: readonly StandardSchemaV1.Issue[],
  where: string,
  value: unknown,
): [text: string, details: Readonly<Record<string, unknown>>] {
  const plain = issues.map((issue) => ({ path: pathOf(issue), message: issue.message }));
  const shown = plain
    .slice(0, MAX_ISSUES)
    .map(
      ({ path, message }) => `${path === '' ? '' : `${path}: `}${message.slice(0, MAX_MESSAGE)}`,
    );
  const more = plain.length > MAX_ISSUES ? `; and ${plain.length - MAX_ISSUES} more` : '';
  return [
    `${where} does not match its schema: ${shown.join('; ')}${more}; the value is ${excerpt(value)}`,
    { where, issues: plain },
  ];
}

/** A path as one would write it in code: `items[2].price`, `["first name"]`. */
function pathOf(issue: StandardSchemaV1.Issue): string {
  let path = '';
  for (const segment of issue.path ?? []) {
    const key = typeof segment === 'object' ? segment.key : segment;
    if (typeof key === 'number') path += `[${key}]`;
    else if (typeof key === 'symbol') path += `[${String(key)}]`;
    else if (/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)) path += path === '' ? key : `.${key}`;
    else path += `[${JSON.stringify(key.slice(0, MAX_MESSAGE))}]`;
  }
  return path;
}
