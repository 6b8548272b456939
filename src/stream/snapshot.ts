/**
 * What the operators of a process hold, as bytes, and back.
 *
 * The bytes are the platform's structured clone (`node:v8`) behind `MRS`, the version of the format and a CRC-32 (little endian) of the rest: data for
 * the program that wrote it, not for exchange, and to be read only from where nobody else can write.
 *
 * @module
 */
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import { MillraceError } from '../core/errors.ts';
import { closeByItself } from './ending.ts';
import { inTopologicalOrder, tagOf } from './graph.ts';
import type { LiveNode } from './live-node.ts';
import { localKey } from './local-key.ts';

/** `MRS` and the version of the format. */
const HEAD: Uint8Array = new Uint8Array([0x4d, 0x52, 0x53, 1]);

/** One node with something to remember. */
interface SavedNode {
  /** Its kind and name, see `tagOf`. */
  readonly node: string;
  /** Its place among those that remember something, counted from the node that the snapshot was taken at. */
  readonly place: number;
  readonly memories: readonly unknown[];
}

/**
 * What `node` and all nodes behind it hold.
 *
 * @throws {@link MillraceError} `MR_ENCODE_FAILED` for a state that cannot be cloned: one with functions or symbols in it.
 */
export function snapshot(node: LiveNode): Uint8Array {
  const saved = remembering(node).map((each): SavedNode => ({
    node: tagOf(each),
    place: each.place - node.place,
    memories: each.memories.map((memory) => memory.save()),
  }));
  try {
    const state = serialize(saved);
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(crc32(state));
    return Buffer.concat([HEAD, sum, state]);
  } catch (cause) {
    throw new MillraceError(
      'MR_ENCODE_FAILED',
      `a state behind ${node.toString()} cannot be put into a snapshot, since it holds a function or a symbol; keep plain data in states`,
      { cause },
    );
  }
}

/**
 * Puts what a snapshot holds in place of what `node` and all nodes behind it hold. A part that had ended by itself by then, and was not there any more, ends.
 *
 * @throws {@link MillraceError} `MR_SNAPSHOT_INVALID` for bytes that are no snapshot, and for one of another graph; then nothing has changed.
 */
export function restore(node: LiveNode, bytes: Uint8Array): void {
  const saved = savedNodes(bytes);
  const left = new Set(saved);
  const gone = new Set<LiveNode>();
  const found = new Map<LiveNode, SavedNode>();
  let fits = true;
  for (const each of inTopologicalOrder([node], ({ children }) => children)) {
    const own = saved.find(
      (one) => left.has(one) && one.node === tagOf(each) && one.place === each.place - node.place,
    );
    if (each.memories.length > 0 && own?.memories.length === each.memories.length) {
      left.delete(own);
      found.set(each, own);
    } else if (each.endsByItself || (each !== node && each.parents.every((one) => gone.has(one))))
      gone.add(each);
    else if (each.memories.length > 0) fits = false;
  }
  if (!fits || left.size > 0)
    throw new MillraceError(
      'MR_SNAPSHOT_INVALID',
      `the snapshot is one of ${shape(saved.map((each) => each.node))}, and behind ${node.toString()} state is kept by ${shape(remembering(node).map(tagOf))}; restore it into a graph that is declared in the same way`,
      { details: { stream: node.toString() } },
    );
  for (const [each, { memories }] of found)
    for (const [i, memory] of each.memories.entries()) memory.load(memories[i]);
  for (const each of gone) if (each.endsByItself) closeByItself(each);
}

/** A copy of what the operator of a node holds: for one key, or without a key. `undefined` for an operator that holds nothing. */
export function peek(node: LiveNode, key: unknown): unknown {
  const [memory] = node.memories;
  if (memory === undefined) return undefined;
  const held =
    memory.peek === undefined
      ? memory.save()
      : memory.peek(key === undefined ? null : localKey(key));
  return structuredClone(held);
}

/** The node and those behind it that hold something, in an order that depends on the graph alone. */
function remembering(node: LiveNode): LiveNode[] {
  return inTopologicalOrder([node], ({ children }) => children).filter(
    ({ memories }) => memories.length > 0,
  );
}

function shape(tags: readonly string[]): string {
  return tags.join(' ') || 'nothing';
}

function savedNodes(bytes: Uint8Array): SavedNode[] {
  if (!(bytes instanceof Uint8Array) || HEAD.some((byte, i) => bytes[i] !== byte))
    throw noSnapshot();
  const state = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(
    HEAD.length + 4,
  );
  let saved: unknown;
  try {
    if (Buffer.from(bytes).readUInt32LE(HEAD.length) !== crc32(state)) throw noSnapshot();
    saved = deserialize(state);
  } catch (cause) {
    throw noSnapshot(cause);
  }
  if (!Array.isArray(saved) || !saved.every(isSavedNode)) throw noSnapshot();
  return saved;
}

function isSavedNode(value: unknown): value is SavedNode {
  const node = value as SavedNode | null;
  return typeof node === 'object' && typeof node?.node === 'string' && Array.isArray(node.memories);
}

function noSnapshot(cause?: unknown): MillraceError {
  return new MillraceError(
    'MR_SNAPSHOT_INVALID',
    'the bytes are no snapshot of a stream, or one of another version of millrace, or damaged; give what stream.snapshot() returned',
    { cause },
  );
}
