/**
 * Codecs by the names that are stored with topics, for records that are looked at without the app that wrote them.
 *
 * @module
 */
import { base64 } from '../codec/base64.ts';
import { bytes } from '../codec/bytes.ts';
import type { Codec } from '../codec/codec.ts';
import { gzip } from '../codec/gzip.ts';
import { json } from '../codec/json.ts';
import { msgpack } from '../codec/msgpack.ts';
import { float64, int32 } from '../codec/numbers.ts';
import { pipe } from '../codec/pipe.ts';
import { utf8 } from '../codec/utf8.ts';

const first: ReadonlyMap<string, Codec<unknown>> = new Map(
  [json, msgpack, utf8, bytes, base64, gzip, int32, float64].map((codec) => [codec.name, codec]),
);
const rest: ReadonlyMap<string, Codec<Uint8Array>> = new Map(
  [gzip, base64].map((codec) => [codec.name, codec]),
);

/** The codec of that name, chains such as `json+gzip` included; `undefined` for one that is not millrace's own. */
export function storedCodec(name: string): Codec<unknown> | undefined {
  const [head = '', ...links] = name.split('+');
  const codec = first.get(head);
  const chain = links.map((link) => rest.get(link));
  return codec === undefined || chain.includes(undefined)
    ? undefined
    : pipe(codec, ...(chain as Codec<Uint8Array>[]));
}
