/**
 * Counts the steps that a backtracking matcher takes for a pattern: what V8 does, without its clock. And texts that would make it take many.
 *
 * Knows what the patterns of millrace use: characters, classes, groups, alternatives, quantifiers, `^`, `$` and `\b`. Look-around, references and
 * repeated parts that may be empty are refused: whoever needs one teaches them here first.
 */

/** One way through a pattern: what it takes at each place. */
type Part =
  | { readonly kind: 'char'; readonly source: string }
  | { readonly kind: 'edge'; readonly source: '^' | '$' | '\\b' | '\\B' }
  | { readonly kind: 'all'; readonly parts: readonly Part[] }
  | { readonly kind: 'any'; readonly parts: readonly Part[] }
  | {
      readonly kind: 'repeat';
      readonly part: Part;
      readonly least: number;
      readonly most: number;
      readonly lazy: boolean;
    };

type Instruction =
  | { readonly op: 'char'; readonly takes: (char: string) => boolean }
  | { readonly op: 'edge'; readonly source: string }
  /** Tries `first`, then `second`. */
  | { readonly op: 'split'; first: number; second: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'match' };

/** What counting has found. */
export interface Counted {
  readonly matches: boolean;
  readonly steps: number;
}

const WORD = /^\w$/;
/** Characters that classes are tried with. */
const ALPHABET: readonly string[] = [
  ...' aAbzZ09_-.:/+?#@()<>[]{}\'"\\!$%&*,;=^`|~\n\0\t'.split(''),
  ...['\u0300', '\u3042', '\u200b', '\u2028', '\u{1f600}', '\u0085', '\u00e9'],
];

/** The pattern as a counter of its steps. */
export class StepCounter {
  readonly #pattern: RegExp;
  readonly #part: Part;
  readonly #program: Instruction[] = [];
  readonly #takers = new Map<string, (char: string) => boolean>();

  constructor(pattern: RegExp) {
    if (pattern.multiline || pattern.sticky || pattern.unicodeSets)
      throw new Error(`flags of ${String(pattern)} are not known here`);
    this.#pattern = pattern;
    this.#part = new Parser(pattern).parse();
    this.#compile(this.#part);
    this.#program.push({ op: 'match' });
  }

  /** Looks for it in `text`, and for further ones if it is global. @throws after `most` steps. */
  count(text: string, most: number): Counted {
    const chars = this.#pattern.unicode ? Array.from(text) : text.split('');
    let [steps, matches] = [0, false];
    const tick = (): void => {
      if (++steps > most) throw new Error(`more than ${most} steps`);
    };
    for (let from = 0; from <= chars.length;) {
      const end = this.#matchAt(chars, from, tick);
      if (end === undefined) from++;
      else {
        matches = true;
        if (!this.#pattern.global) break;
        from = Math.max(end, from + 1);
      }
    }
    return { matches, steps };
  }

  /**
   * Texts of about `length` characters in which one or two places of the pattern come again and again, behind what leads there and behind nothing,
   * and end in what fits or in what does not.
   */
  *attacks(length: number): Generator<string> {
    const ends = ['', '\0', ' ', '!', '\n'];
    const pumps = new Map<string, Set<string>>();
    const places: { readonly before: string; readonly char: string }[] = [];
    this.#walk(this.#part, '', places);
    for (const [i, { before, char }] of places.entries())
      for (const pump of [char, ...(places[i + 1] ? [char + places[i + 1]?.char] : [])]) {
        const leads = pumps.get(pump) ?? new Set();
        pumps.set(pump, leads.add(before).add(''));
      }
    for (const [pump, leads] of pumps)
      for (const lead of [...leads].slice(0, 4))
        for (const end of ends)
          yield lead + pump.repeat(Math.ceil(length / pump.length)).slice(0, length) + end;
  }

  /** Notes each place with a shortest text that leads there; returns one that leads behind `part`. */
  #walk(part: Part, before: string, places: { before: string; char: string }[]): string {
    switch (part.kind) {
      case 'char': {
        const takes = this.#taker(part.source);
        const fitting = ALPHABET.filter(takes);
        if (part.source.length === 1) fitting.push(part.source);
        for (const char of fitting.slice(0, 2)) places.push({ before, char });
        return before + (fitting[0] ?? '');
      }
      case 'edge':
        return before;
      case 'all':
        return part.parts.reduce((lead, each) => this.#walk(each, lead, places), before);
      case 'any':
        return part.parts.map((each) => this.#walk(each, before, places))[0] ?? before;
      case 'repeat':
      default: {
        const behind = this.#walk(part.part, before, places);
        return part.least === 0
          ? before
          : before + behind.slice(before.length).repeat(Math.min(part.least, 5));
      }
    }
  }

  #matchAt(chars: readonly string[], from: number, tick: () => void): number | undefined {
    const waiting: [pc: number, at: number][] = [[0, from]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      let [pc, at] = next;
      for (let alive = true; alive;) {
        tick();
        const instruction = this.#program[pc] as Instruction;
        switch (instruction.op) {
          case 'match':
            return at;
          case 'char':
            alive = at < chars.length && instruction.takes(chars[at] as string);
            [pc, at] = [pc + 1, at + 1];
            break;
          case 'edge':
            alive = isEdge(instruction.source, chars, at);
            pc++;
            break;
          case 'jump':
            pc = instruction.to;
            break;
          case 'split':
            waiting.push([instruction.second, at]);
            pc = instruction.first;
            break;
        }
      }
    }
    return undefined;
  }

  #compile(part: Part): void {
    const program = this.#program;
    switch (part.kind) {
      case 'char':
        program.push({ op: 'char', takes: this.#taker(part.source) });
        return;
      case 'edge':
        program.push({ op: 'edge', source: part.source });
        return;
      case 'all':
        for (const each of part.parts) this.#compile(each);
        return;
      case 'any': {
        const ends: { op: 'jump'; to: number }[] = [];
        for (const [i, each] of part.parts.entries()) {
          const split = { op: 'split' as const, first: program.length + 1, second: 0 };
          const last = i === part.parts.length - 1;
          if (!last) program.push(split);
          this.#compile(each);
          if (last) break;
          const end = { op: 'jump' as const, to: 0 };
          ends.push(end);
          program.push(end);
          split.second = program.length;
        }
        for (const end of ends) end.to = program.length;
        return;
      }
      case 'repeat':
        this.#compileRepeat(part);
    }
  }

  #compileRepeat({ part, least, most, lazy }: Part & { kind: 'repeat' }): void {
    if (mayBeEmpty(part)) throw new Error('a part that may be empty is repeated');
    const program = this.#program;
    for (let i = 0; i < least; i++) this.#compile(part);
    const splits: { first: number; second: number }[] = [];
    const begin = program.length;
    for (let i = least; i < (most === Infinity ? least + 1 : most); i++) {
      const split = { op: 'split' as const, first: program.length + 1, second: -1 };
      splits.push(split);
      program.push(split);
      this.#compile(part);
    }
    if (most === Infinity) program.push({ op: 'jump', to: begin });
    for (const split of splits) {
      split.second = program.length;
      if (lazy) [split.first, split.second] = [split.second, split.first];
    }
  }

  #taker(source: string): (char: string) => boolean {
    let taker = this.#takers.get(source);
    if (taker === undefined) {
      const single = new RegExp(`^(?:${source})$`, this.#pattern.flags.replace('g', ''));
      const known = new Map<string, boolean>();
      taker = (char) => {
        let takes = known.get(char);
        if (takes === undefined) known.set(char, (takes = single.test(char)));
        return takes;
      };
      this.#takers.set(source, taker);
    }
    return taker;
  }
}

function isEdge(source: string, chars: readonly string[], at: number): boolean {
  if (source === '^') return at === 0;
  if (source === '$') return at === chars.length;
  const [before, behind] = [chars[at - 1] ?? '', chars[at] ?? ''].map((char) => WORD.test(char));
  return (before !== behind) === (source === '\\b');
}

function mayBeEmpty(part: Part): boolean {
  if (part.kind === 'char') return false;
  if (part.kind === 'edge') return true;
  if (part.kind === 'repeat') return part.least === 0 || mayBeEmpty(part.part);
  return part.kind === 'all' ? part.parts.every(mayBeEmpty) : part.parts.some(mayBeEmpty);
}

class Parser {
  readonly #source: string;
  #at = 0;

  constructor({ source }: RegExp) {
    this.#source = source;
  }

  parse(): Part {
    const part = this.#any();
    if (this.#at < this.#source.length) throw this.#unknown();
    return part;
  }

  #any(): Part {
    const parts = [this.#all()];
    while (this.#take('|')) parts.push(this.#all());
    return parts.length === 1 ? (parts[0] as Part) : { kind: 'any', parts };
  }

  #all(): Part {
    const parts: Part[] = [];
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source[this.#at] as string))
      parts.push(this.#repeat());
    return { kind: 'all', parts };
  }

  #repeat(): Part {
    const part = this.#one();
    const found = /^(?:[*+?]|\{(\d+)(,(\d*))?\})(\??)/.exec(this.#source.slice(this.#at));
    if (found === null) return part;
    const [text, from = '', comma, to = '', question] = found;
    this.#at += text.length;
    const least = from === '' ? (text[0] === '+' ? 1 : 0) : Number(from);
    const unbounded = from === '' ? text[0] !== '?' : comma !== undefined && to === '';
    const most = unbounded ? Infinity : from === '' ? 1 : to === '' ? least : Number(to);
    return { kind: 'repeat', part, least, most, lazy: question === '?' };
  }

  #one(): Part {
    if (this.#take('(')) {
      if (this.#take('?') && !this.#take(':')) throw this.#unknown();
      const part = this.#any();
      if (!this.#take(')')) throw this.#unknown();
      return part;
    }
    const [source = ''] =
      /^(?:\[(?:[^\]\\]|\\.)*\]|\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\[^1-9k]|[^\\])/iu.exec(
        this.#source.slice(this.#at),
      ) ?? [];
    if (source === '') throw this.#unknown();
    this.#at += source.length;
    return source === '^' || source === '$' || source === '\\b' || source === '\\B'
      ? { kind: 'edge', source }
      : { kind: 'char', source };
  }

  #take(char: string): boolean {
    if (this.#source[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #unknown(): Error {
    return new Error(`/${this.#source}/ cannot be counted from its place ${this.#at} on`);
  }
}
