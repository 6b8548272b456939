/**
 * The contract between values and bytes.
 *
 * Not in it: validation (`schema.ts`), key identity (`key.ts`), framing (`broker/frame.ts`).
 *
 * @module
 */

/**
 * Turns values into bytes and back. Stateless and synchronous: one codec serves any number of topics and tasks.
 * `decode(encode(x))` equals `x` for every value that the codec accepts.
 */
export interface Codec<T> {
  /** Stored with topics, so it must never change its meaning: `'json'`, `'msgpack'`, … */
  readonly name: string;
  /** @throws `MR_ENCODE_FAILED` for a value it cannot carry. The result is the caller's to keep. */
  encode(value: T): Uint8Array;
  /** @throws `MR_DECODE_FAILED` for bytes it did not write. May not keep or change `bytes`. */
  decode(bytes: Uint8Array): T;
  /** For codecs whose bytes are JSON text: encodes to text, which frames then write without a copy. */
  encodeText?(value: T): string;
  /**
   * Writes the bytes of {@link Codec.encode} into `target` from `at` on, and answers with the position behind them, or with -1
   * if the room may not suffice: call `encode` then. Bytes behind those written may have changed either way.
   *
   * @throws as `encode`.
   */
  encodeInto?(value: T, target: Buffer, at: number): number;
  /** {@link Codec.decode} of the bytes from `from` to before `to`. May keep `bytes`, unread, until its next call. */
  decodeAt?(bytes: Uint8Array, from: number, to: number): T;
}
