/**
 * One JSON text for one value: no spaces, members sorted by name, nothing that JSON would change in silence.
 *
 * @see RFC 8785, JSON Canonicalization Scheme: the same text for the values that both accept
 * @module
 */
import { excerpt } from './excerpt.ts';

const MAX_DEPTH = 32;

/**
 * The canonical text of a plain object or array of JSON data.
 *
 * @throws for everything else at any depth: `undefined`, `NaN`, infinities, bigints, lone surrogates, functions, symbols,
 * instances of classes, more than 32 levels, a text of more than `maxLength` characters (give or take a member).
 */
export function canonicalJson(value: object, maxLength: number): string {
  const parts: string[] = [];
  let length = 0;
  const put = (part: string): void => {
    length += part.length;
    if (length > maxLength) throw new Error(`as JSON it is longer than ${maxLength} bytes`);
    parts.push(part);
  };
  const write = (member: unknown, depth: number): void => {
    switch (typeof member) {
      case 'string':
        if (!member.isWellFormed())
          throw new Error(`the text ${excerpt(member)} in it has half of a surrogate pair`);
        put(JSON.stringify(member));
        return;
      case 'number':
        if (!Number.isFinite(member)) throw new Error(`${member} has no JSON form`);
        put(JSON.stringify(member));
        return;
      case 'boolean':
        put(member ? 'true' : 'false');
        return;
      case 'object':
        if (member === null) put('null');
        else writeObject(member, depth);
        return;
      case 'undefined':
      case 'bigint':
      case 'function':
      case 'symbol':
      default:
        throw new Error(`it holds ${excerpt(member)}, which has no JSON form`);
    }
  };
  const writeObject = (object: object, depth: number): void => {
    if (depth >= MAX_DEPTH)
      throw new Error(`it is nested deeper than ${MAX_DEPTH} levels, or contains itself`);
    if (Array.isArray(object)) {
      put('[');
      for (let i = 0; i < object.length; i++) {
        if (i > 0) put(',');
        write(object[i], depth + 1);
      }
      put(']');
      return;
    }
    const parent: unknown = Object.getPrototypeOf(object);
    if (parent !== null && Object.getPrototypeOf(parent) !== null)
      throw new Error(`it is or holds ${excerpt(object)}, which is not plain data`);
    const members = object as Readonly<Record<string, unknown>>;
    let separator = '{';
    for (const name of Object.keys(object).toSorted(byCodeUnit)) {
      put(separator);
      write(name, depth + 1);
      put(':');
      write(members[name], depth + 1);
      separator = ',';
    }
    put(separator === '{' ? '{}' : '}');
  };
  writeObject(value, 0);
  return parts.join('');
}

/** The frozen value of a canonical text. @throws when `text` is not one. */
export function frozenJson(text: string): object {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null)
    throw new Error('it is neither object nor array');
  if (canonicalJson(value, text.length) !== text) throw new Error('its JSON is not canonical');
  return freeze(value);
}

function freeze(value: object): object {
  for (const member of Object.values(value) as unknown[])
    if (typeof member === 'object' && member !== null) freeze(member);
  return Object.freeze(value);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
