/** How a picture is written down, and that no name breaks out of it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { labelOf } from '../../../src/stream/picture/label.ts';
import { mermaidText } from '../../../src/stream/picture/mermaid-text.ts';
import { svg } from '../../../src/stream/picture/svg.ts';
import { oneLine } from '../../../src/stream/picture/text.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { codeOf, codeOfRejection } from '../helpers.ts';
import { readDot, readSvg } from './support.ts';

const save = (): void => {};

/** A fork, a join and every shape that an in-process stream of these operators has. */
function pipeline(): Stream<number> {
  const numbers = new Stream<number>({ name: 'numbers' });
  numbers
    .take(2, { name: 'pairs' })
    .flatten()
    .union(Stream.from([1, 2]))
    .accumulate((sum, n) => sum + n)
    .sink(save);
  numbers.map(Math.sqrt);
  return numbers;
}

test('in the language of Graphviz', () => {
  expect(pipeline().visualize()).toBe(`digraph {
  rankdir=LR;
  node [fontname="Helvetica"];
  edge [fontname="Helvetica", fontsize=10];
  n0 [label="source numbers", shape=ellipse];
  n1 [label="take 2\\npairs", shape=diamond];
  n2 [label="flatten", shape=ellipse];
  n3 [label="map sqrt", shape=ellipse];
  n4 [label="from", shape=doubleoctagon];
  n5 [label="union", shape=triangle, orientation=270];
  n6 [label="accumulate", shape=box];
  n7 [label="sink save", shape=trapezium];
  n0 -> n1 [label="0"];
  n0 -> n3 [label="1"];
  n1 -> n2;
  n2 -> n5;
  n4 -> n5;
  n5 -> n6;
  n6 -> n7;
}
`);
});

test('in the language of Mermaid', () => {
  expect(pipeline().visualize({ format: 'mermaid', rankdir: 'TB' })).toBe(`flowchart TB
  n0(["source numbers"])
  n1{"take 2<br>pairs"}
  n2(["flatten"])
  n3(["map sqrt"])
  n4[["from"]]
  n5>"union"]
  n6["accumulate"]
  n7[/"sink save"\\]
  n0 -->|"0"| n1
  n0 -->|"1"| n3
  n1 --> n2
  n2 --> n5
  n4 --> n5
  n5 --> n6
  n6 --> n7
`);
});

test('as an <svg> element', async () => {
  const drawn = await pipeline().visualize({ format: 'svg' });
  expect(drawn).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(drawn).toMatch(/<\/svg>\n$/);
  expect(readSvg(drawn).toSorted()).toEqual(
    [
      '0',
      '1',
      'accumulate',
      'flatten',
      'from',
      'map sqrt',
      'pairs',
      'sink save',
      'source numbers',
      'take 2',
      'union',
    ].toSorted(),
  );
});

test('a sink draws the graph of its stream', async () => {
  const stream = new Stream<number>();
  const sink = stream.sink(save);
  expect(sink.visualize()).toBe(stream.visualize());
  expect(sink.visualize({ format: 'mermaid' })).toBe(stream.visualize({ format: 'mermaid' }));
  expect(await sink.visualize({ format: 'svg' })).toBe(await stream.visualize({ format: 'svg' }));
});

describe('names that mean something elsewhere', () => {
  const hostile = [
    '"];\n}\ndigraph evil { n0 [label="',
    "'; DROP",
    '</text></svg><script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '&lt;b&gt; &amp; &#34; &quot;',
    '\\N \\G \\L \\l \\r \\n \\\\" \\',
    '%%{init: {"theme":"dark"}}%%',
    '%% comment',
    '`**bold**`',
    '#quot; #35; #lt;script#gt;',
    'style n0 fill:#f9f;',
    'classDef x fill:#f9f;',
    'ﬂ°°34¶ß',
    'end',
    'click n0 "javascript:alert(1)"',
    ']]>',
    '-->',
    '--',
    'ünïcödé 東京 🚀 👩‍👩‍👧',
    'right\u202Eto left',
    'nul\0 bell\u0007 \u001B[31mred',
    'half a pair \uD800 here',
    'x'.repeat(10_000),
  ];

  test.each(hostile)('%j is text in a picture of Graphviz', async (name) => {
    const stream = new Stream<number>({ name });
    stream.sink(Object.defineProperty(() => {}, 'name', { value: name }));
    const shown = oneLine(name);
    const { nodes, edges } = readDot(stream.visualize());
    expect(nodes.map(([label]) => label)).toEqual([`source ${shown}`, `sink ${shown}`]);
    expect(edges).toHaveLength(1);
    const drawn = await stream.visualize({ format: 'svg' });
    expect(readSvg(drawn)).toEqual([`source ${shown}`, `sink ${shown}`]);
    expect(drawn).not.toMatch(/<(?:script|img)/);
  });

  test.each(hostile)('%j is text in a picture of Mermaid', (name) => {
    const stream = new Stream<number>({ name });
    stream.map((n) => n);
    const lines = stream.visualize({ format: 'mermaid' }).split('\n');
    expect(lines).toHaveLength(5);
    const [, text] = /^ {2}n0\(\["source (.*)"\]\)$/u.exec(lines[1] as string) ?? [];
    expect(text).toMatch(/^(?:[\p{L}\p{M}\p{N} _.,…/()+-]|#\d+;)*$/u);
    expect(asMermaidReads(text as string)).toBe(oneLine(name));
  });

  test('any others', async () => {
    const viz = await import('@viz-js/viz');
    const { renderString } = await viz.instance().then((made) => ({
      renderString: made.renderString.bind(made),
    }));
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }).filter((s) => oneLine(s) !== ''),
        async (name) => {
          const stream = new Stream<number>({ name });
          const shown = `source ${oneLine(name)}`;
          expect(readDot(stream.visualize()).nodes[0]?.[0]).toBe(shown);
          const drawn = await svg(stream.visualize(), async () => ({
            instance: async () => ({ renderString }),
          }));
          expect(readSvg(drawn)).toEqual([shown]);
          expect(asMermaidReads(mermaidText(oneLine(name)))).toBe(oneLine(name));
        },
      ),
      { numRuns: 100 },
    );
  });
});

/** What Mermaid does with the codes in a text, and the page with what it makes of them. */
function asMermaidReads(text: string): string {
  return text.replaceAll(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
}

describe('labels', () => {
  test.each<[string | undefined, readonly unknown[]]>([
    [undefined, []],
    [undefined, [() => {}, undefined, null, true, Symbol('s')]],
    ['sqrt', [Math.sqrt]],
    ['sqrt', [Math.sqrt.bind(null).bind(null)]],
    ['3 sqrt', [3, Math.sqrt]],
    ['500ms', ['500ms']],
    ['orders late', [{ name: 'orders' }, { name: 'late' }]],
    [undefined, [{ name: 7 }, {}]],
    ['a b', ['a\r\n\tb']],
  ])('%j', (label, parts) => {
    expect(labelOf(...parts)).toBe(label);
  });

  test.each([
    ['x'.repeat(60), 'x'.repeat(60)],
    ['x'.repeat(61), `${'x'.repeat(59)}…`],
    ['🚀'.repeat(30), '🚀'.repeat(30)],
    ['🚀'.repeat(31), `${'🚀'.repeat(29)}…`],
    ['👩‍👩‍👧'.repeat(10), `${'👩‍👩‍👧'.repeat(7)}…`],
    [`e${'\u0301'.repeat(1_000)}`, '…'],
  ])('%j is cut between characters', (given, shown) => {
    expect(labelOf(given)).toBe(shown);
  });
});

describe('what cannot be drawn', () => {
  const stream = new Stream<number>();
  test.each<[string, object]>([
    ["format of visualize is \"png\"; give 'dot', 'mermaid' or 'svg'", { format: 'png' }],
    ["rankdir of visualize is \"RL\"; give 'LR' or 'TB'", { rankdir: 'RL' }],
    ['rates of visualize is a value of type number; give true or false', { rates: 1 }],
    ['visualize has no option "formt"', { formt: 'dot' }],
  ])('%s', (message, options) => {
    expect(codeOf(() => stream.visualize(options))).toBe('MR_OPTION_INVALID');
    expect(() => stream.visualize(options)).toThrow(message);
  });

  test('an SVG without the package', async () => {
    const drawn = svg('digraph {}', () => Promise.reject(new Error('not found')));
    expect(await codeOfRejection(drawn)).toBe('MR_DEPENDENCY_MISSING');
    await expect(drawn).rejects.toThrow(
      "@viz-js/viz cannot be loaded, which SVG pictures need; install it with npm install @viz-js/viz, or use the format 'dot' or 'mermaid'",
    );
  });
});
