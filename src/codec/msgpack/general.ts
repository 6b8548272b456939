/**
 * Every value that `msgpack` carries, by way of msgpackr. Slower than `reader.ts` and `writer.ts`, which know plain records only
 * and leave the rest to this; where both can do it, they agree on bytes and values.
 *
 * A value is checked on its way in and on its way out, so that reading what was written gives an equal value or writing throws.
 * What msgpackr would change is put in a box, see `boxes.ts`.
 *
 * @module
 */
import { Packr } from 'msgpackr';

import { excerpt } from '../excerpt.ts';
import { BigIntBox, MapBox, ObjectBox, registerBoxes, TextBox } from './boxes.ts';
import { isOddText, MAX_DEPTH } from './plain.ts';

/** Writes and reads any value. Both throw errors of any type that say what is wrong with it. */
export interface General {
  /** A view of memory that later calls may write to. */
  write(value: unknown): Uint8Array;
  read(bytes: Uint8Array): unknown;
}

/** msgpackr, set up so that maps are objects and nothing is written that other programs would not understand. */
export function general(): General {
  registerBoxes();
  const packr = new Packr({
    copyBuffers: true,
    mapsAsObjects: true,
    moreTypes: true,
    structuredClone: false,
    useRecords: false,
    useToJSON: false,
    variableMapSize: true,
    // 'auto': a number where it is safe, else a bigint. The types of msgpackr do not know it yet.
    ...({ int64AsType: 'auto' } as object),
  });
  return {
    write: (value) => packr.pack(boxed(value, 0)),
    read: (bytes) => checked(packr.unpack(bytes), 0),
  };
}

/** `value` itself where msgpackr can be trusted with it, else a copy with boxes in it. */
function boxed(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'string':
      if (!value.isWellFormed())
        throw new Error(
          `the text ${excerpt(value)} has half of a surrogate pair; try toWellFormed()`,
        );
      return isOddText(value) ? new TextBox(value) : value;
    case 'bigint':
      return new BigIntBox(value);
    case 'object':
      return value === null ? null : boxedObject(value, depth);
    case 'function':
    case 'symbol':
    default:
      throw new Error(`it has a ${typeof value} in it, which is not data`);
  }
}

function boxedObject(value: object, depth: number): unknown {
  if (depth >= MAX_DEPTH)
    throw new Error(`it is nested deeper than ${MAX_DEPTH} levels, or contains itself`);
  if (Array.isArray(value)) return boxedArray(value, depth);
  const parent: unknown = Object.getPrototypeOf(value);
  if (parent === Object.prototype || isPlain(parent)) return boxedRecord(value, depth);
  if (value instanceof Date || value instanceof Uint8Array) return value;
  if (value instanceof Map) return new MapBox(boxedArray([...value].flat(), depth));
  if (value instanceof Set) return new Set(boxedArray([...value], depth));
  throw new Error(
    `it has a ${nameOfClass(value)} in it, which msgpack does not carry; convert it to plain data first`,
  );
}

function boxedArray(array: readonly unknown[], depth: number): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < array.length; i++) {
    const member = array[i];
    const safe = boxed(member, depth + 1);
    if (safe !== member) (copy ??= [...array])[i] = safe;
  }
  return copy ?? array;
}

function boxedRecord(record: object, depth: number): unknown {
  const members = record as Readonly<Record<string, unknown>>;
  const names = Object.keys(record);
  let copy: Record<string, unknown> | undefined;
  for (const name of names) {
    if (isOddText(name) || !name.isWellFormed())
      return new ObjectBox(
        boxedArray(
          names.flatMap((each) => [each, members[each]]),
          depth,
        ),
      );
    const member = members[name];
    const safe = boxed(member, depth + 1);
    if (safe !== member) (copy ??= { ...members })[name] = safe;
  }
  return copy ?? record;
}

/** Whether `parent` is the prototype of plain objects, of this realm or another, or there is none. */
function isPlain(parent: unknown): boolean {
  return parent === null || (typeof parent === 'object' && Object.getPrototypeOf(parent) === null);
}

function nameOfClass(value: object): string {
  const { constructor } = value;
  return typeof constructor === 'function' && constructor.name !== ''
    ? constructor.name
    : 'object of a class';
}

/** `value` as msgpackr read it, if there is nothing in it that {@link msgpack} does not write. */
function checked(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) throw new Error(`it is nested deeper than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const member: unknown = value[i];
      if (typeof member === 'object') value[i] = checked(member, depth + 1);
    }
    return value;
  }
  if (Object.getPrototypeOf(value) === Object.prototype) {
    const members = value as Record<string, unknown>;
    for (const name of Object.keys(value)) {
      const member = members[name];
      // A member called `__proto__` comes out of its box as an own property, so this assigns to that.
      if (typeof member === 'object') members[name] = checked(member, depth + 1);
    }
    return value;
  }
  if (value instanceof Date) return value;
  if (value instanceof Buffer) return new Uint8Array(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof Map) {
    const entries = [...value];
    if (!entries.some(([key, member]) => typeof key === 'object' || typeof member === 'object'))
      return value;
    return new Map(
      entries.map(([key, member]) => [checked(key, depth + 1), checked(member, depth + 1)]),
    );
  }
  if (value instanceof Set) return new Set([...value].map((member) => checked(member, depth + 1)));
  throw new Error(`it has a ${nameOfClass(value)} in it`);
}
