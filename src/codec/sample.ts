/**
 * A part of a value that is cheap to print, however large the value is: who sends a record with a hundred thousand members is not to make
 * every error about it cost as much.
 *
 * @module
 */
import { types } from 'node:util';

/** Levels of objects that are printed. */
const DEPTH = 3;
/** Members that are kept, in all objects together. Those of one line are far fewer. */
const MEMBERS = 200;
/** Elements of an array, Map or Set that are kept: one more than is printed, so that it shows that there are more. */
const ELEMENTS = 11;

/** `value` itself if it is small; else a copy that begins as it does, of the same prototype. Runs no code of the value. */
export function sample(value: unknown): unknown {
  return part(value, DEPTH, { left: MEMBERS });
}

function part(value: unknown, depth: number, budget: { left: number }): unknown {
  if (typeof value !== 'object' || value === null || depth < 0 || types.isProxy(value))
    return value;
  if (Array.isArray(value)) return partOfArray(value, depth, budget);
  if (types.isMap(value)) {
    const members = first(value);
    const parts = members.map((pair) => partOfArray(pair, depth, budget));
    return isSame(parts, members) ? value : new Map(parts as [unknown, unknown][]);
  }
  if (types.isSet(value)) {
    const members = first(value);
    const parts = partOfArray(members, depth, budget);
    return parts === members ? value : new Set(parts);
  }
  return ArrayBuffer.isView(value) ? value : partOfObject(value, depth, budget);
}

function partOfArray(
  array: readonly unknown[],
  depth: number,
  budget: { left: number },
): readonly unknown[] {
  const kept = array.length > ELEMENTS ? array.slice(0, ELEMENTS) : array;
  const parts = kept.map((element) => part(element, depth - 1, budget));
  return isSame(parts, kept) ? array : parts;
}

function partOfObject(object: object, depth: number, budget: { left: number }): object {
  const names = Object.keys(object);
  const kept = names.slice(0, budget.left);
  budget.left -= kept.length;
  let same = kept.length === names.length;
  const copy = Object.create(Object.getPrototypeOf(object) as object | null) as object;
  for (const name of kept) {
    const member = Object.getOwnPropertyDescriptor(object, name);
    if (member === undefined) continue;
    const sampled: unknown = part(member.value, depth - 1, budget);
    same &&= sampled === member.value;
    Object.defineProperty(copy, name, 'value' in member ? { ...member, value: sampled } : member);
  }
  return same ? object : copy;
}

function isSame(parts: readonly unknown[], before: readonly unknown[]): boolean {
  return parts.every((each, i) => each === before[i]);
}

function first<T>(values: Iterable<T>): T[] {
  const kept: T[] = [];
  for (const value of values) {
    if (kept.length === ELEMENTS) break;
    kept.push(value);
  }
  return kept;
}
