/**
 * Which partition a key belongs to: the choice of Kafka's Java client, so that topics written by other programs and by
 * millrace are co-partitioned.
 *
 * @module
 */

const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;

/**
 * 32-bit murmur2 of `bytes` as a signed integer.
 *
 * @see Austin Appleby's MurmurHash2 with the seed that Kafka chose, `org.apache.kafka.common.utils.Utils.murmur2`
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  const whole = length & ~3;
  let hash = SEED ^ length;
  for (let i = 0; i < whole; i += 4) {
    let word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    word = Math.imul(word, MULTIPLIER);
    word = Math.imul(word ^ (word >>> 24), MULTIPLIER);
    hash = Math.imul(hash, MULTIPLIER) ^ word;
  }
  const rest = length - whole;
  if (rest === 3) hash ^= bytes[whole + 2]! << 16;
  if (rest >= 2) hash ^= bytes[whole + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[whole]!, MULTIPLIER);
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return hash ^ (hash >>> 15);
}

/**
 * Partition, `0 ≤ p < partitions`, of a record whose encoded key is `keyBytes`. `partitions` is an integer of at least 1.
 *
 * @see Kafka's `BuiltInPartitioner.partitionForKey`
 */
export function partitionOf(keyBytes: Uint8Array, partitions: number): number {
  return (murmur2(keyBytes) & 0x7fff_ffff) % partitions;
}
