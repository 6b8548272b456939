/**
 * What the pages of a file of lmdb are for. The trees are walked from the newer head, as `mdb.c` of lmdb-js lays them out:
 *
 * ```
 * page   u64 number, u64 transaction, u16 padding, u16 flags, then u16 lower, u16 upper, places of nodes; or u32 pages of one big value
 * head   page with: u32 magic, u32 version, u64 address, u64 map size, tree of free pages, main tree, u64 last page, u64 transaction
 * tree   u32, u16 flags, u16 depth, u64 branch pages, u64 leaf pages, u64 big pages, u64 entries, u64 root
 * node   u32 size of the value (in a branch u48 page number), u16 flags, u16 size of the key, key; value, or of a big one u64 page, u64, u64 pages
 * ```
 */
const PAGE_BYTES = 4096;

const HEADER_BYTES = 24;
const BRANCH = 0x01;
const BIG_VALUE = 0x01;
const TREE = 0x02;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** A part of the file. `'free'`: pages that nothing refers to. */
export type Place = 'head' | 'branch' | 'leaf' | 'value head' | 'value' | 'free list' | 'free';

export const places: readonly Place[] = [
  'head',
  'branch',
  'leaf',
  'value head',
  'value',
  'free list',
  'free',
];

/** Says what the bytes of an undamaged file are for. */
export class LmdbPages {
  readonly #file: Buffer;
  readonly #uses: Place[];

  constructor(file: Buffer) {
    this.#file = file;
    this.#uses = Array.from({ length: file.length / PAGE_BYTES }, () => 'free');
    this.#uses[0] = 'head';
    this.#uses[1] = 'head';
    const head = this.#number(152) > this.#number(PAGE_BYTES + 152) ? 0 : PAGE_BYTES;
    this.#walk(file.readBigUInt64LE(head + 88), 'free list');
    this.#walk(file.readBigUInt64LE(head + 136), undefined);
  }

  at(offset: number): Place {
    const use = this.#uses[Math.floor(offset / PAGE_BYTES)] as Place;
    return use === 'value head' && offset % PAGE_BYTES >= HEADER_BYTES ? 'value' : use;
  }

  /** Where all bytes of a kind are. */
  offsetsOf(place: Place): number[] {
    const all = Array.from({ length: this.#file.length }, (_, offset) => offset);
    return all.filter((offset) => this.at(offset) === place);
  }

  #walk(root: bigint, use: Place | undefined): void {
    if (root === NO_PAGE) return;
    const number = Number(root);
    const page = this.#file.subarray(number * PAGE_BYTES, (number + 1) * PAGE_BYTES);
    const branch = (page.readUInt16LE(18) & BRANCH) !== 0;
    this.#uses[number] = use ?? (branch ? 'branch' : 'leaf');
    for (let node = 0; node < page.readUInt16LE(20) >> 1; node++) {
      const at = HEADER_BYTES + page.readUInt16LE(HEADER_BYTES + node * 2);
      const flags = page.readUInt16LE(at + 4);
      const value = at + 8 + page.readUInt16LE(at + 6);
      if (branch) this.#walk(BigInt(page.readUIntLE(at, 6)), use);
      else if ((flags & TREE) !== 0) this.#walk(page.readBigUInt64LE(value + 40), use);
      else if ((flags & BIG_VALUE) !== 0) {
        const first = Number(page.readBigUInt64LE(value));
        const pages = Number(page.readBigUInt64LE(value + 16));
        for (let i = 0; i < pages; i++)
          this.#uses[first + i] = use ?? (i === 0 ? 'value head' : 'value');
      }
    }
  }

  #number(at: number): number {
    return Number(this.#file.readBigUInt64LE(at));
  }
}
