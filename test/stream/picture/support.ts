/**
 * Pictures as Graphviz understands them.
 *
 * @module
 */
import { instance } from '@viz-js/viz';

const viz = await instance();

/** A graph as Graphviz read it. */
export interface Read {
  readonly rankdir: string;
  /** Label (as it is drawn, lines separated by `|`), shape and, if it is turned, by how many degrees. */
  readonly nodes: readonly (readonly string[])[];
  /** Labels of its ends, and its own, if it has one. */
  readonly edges: readonly (readonly string[])[];
}

/** What Graphviz makes of a text in its language. */
export function readDot(dot: string): Read {
  // Its JSON has shapes; its SVG has texts without doubled backslashes.
  const {
    rankdir,
    objects,
    edges = [],
  } = JSON.parse(viz.renderString(dot, { format: 'json' })) as {
    readonly rankdir: string;
    readonly objects: readonly {
      readonly shape: string;
      readonly orientation?: string;
    }[];
    readonly edges?: readonly { readonly tail: number; readonly head: number }[];
  };
  const groups = viz.renderString(dot, { format: 'svg' }).split('<g id="').slice(2);
  const texts = new Map(
    groups.map((group) => {
      const [, id = ''] = /^(\w+)/.exec(group) ?? [];
      const found = [...group.matchAll(/<text[^>]*>([^<]*)<\/text>/g)];
      return [id, found.map(([, text]) => unescaped(text as string)).join('|')] as const;
    }),
  );
  const labelAt = (place: number): string => texts.get(`node${place + 1}`) ?? 'nothing';
  return {
    rankdir,
    nodes: objects.map(({ shape, orientation = '' }, place) =>
      [labelAt(place), shape, orientation].filter((text) => text !== ''),
    ),
    edges: edges.map(({ tail, head }, place) =>
      [labelAt(tail), labelAt(head), texts.get(`edge${place + 1}`) ?? ''].filter(
        (text) => text !== '',
      ),
    ),
  };
}

/** For comparisons that do not ask for the order. */
export function inAnyOrder({ nodes, edges }: Read): readonly string[] {
  return [...nodes, ...edges].map((row) => row.join(', ')).toSorted();
}

/** Texts of an `<svg>` element, in the order in which they stand. Throws when it is not well-formed. */
export function readSvg(svg: string): string[] {
  const open: string[] = [];
  const texts: string[] = [];
  const token =
    /<!--(?:(?!--)[^])*-->|<(?<end>\/)?(?<name>[\w:]+)(?<attributes>(?:\s+[\w:-]+="[^"<&]*(?:&[#\w]+;[^"<&]*)*")*)\s*(?<empty>\/)?>|(?<text>[^<&]*(?:&(?:#\d+|#x[\da-f]+|lt|gt|amp|quot|apos);[^<&]*)*)/giy;
  while (token.lastIndex < svg.length) {
    const at = token.lastIndex;
    const groups = token.exec(svg)?.groups;
    if (groups === undefined || token.lastIndex === at) {
      if (svg.startsWith('<!--', at) && token.lastIndex > at) continue;
      throw new Error(`not well-formed at ${at}: ${svg.slice(at, at + 40)}`);
    }
    const { end, name, empty, text } = groups;
    if (text !== undefined && open.at(-1) === 'text') texts.push(unescaped(text));
    if (name === undefined || empty !== undefined) continue;
    if (end === undefined) open.push(name);
    else if (open.pop() !== name) throw new Error(`</${name}> at ${at} closes something else`);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(' ')}`);
  return texts;
}

const entities: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
};

function unescaped(text: string): string {
  return text.replaceAll(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (_, decimal, hex, name) => {
    if (name !== undefined) return entities[name as string] ?? 'unknown';
    return String.fromCodePoint(
      decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal),
    );
  });
}
