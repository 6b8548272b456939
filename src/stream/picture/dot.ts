/**
 * @module
 */
import type { Picture } from './picture.ts';

/** Where a graph leads: to the right, or down. */
export type Direction = 'LR' | 'TB';

/**
 * A picture in the language of Graphviz.
 *
 * @see https://graphviz.org/doc/info/lang.html
 */
export function dot({ nodes, edges }: Picture, rankdir: Direction): string {
  const lines = [
    'digraph {',
    `  rankdir=${rankdir};`,
    '  node [fontname="Helvetica"];',
    '  edge [fontname="Helvetica", fontsize=10];',
  ];
  // Those that join point where the graph leads.
  const turned = `, orientation=${rankdir === 'LR' ? 270 : 180}`;
  for (const { id, lines: text, shape } of nodes)
    lines.push(
      `  ${id} [label=${quoted(text)}, shape=${shape}${shape === 'triangle' ? turned : ''}];`,
    );
  for (const { from, to, lines: text } of edges)
    lines.push(`  ${from} -> ${to}${text.length === 0 ? '' : ` [label=${quoted(text)}]`};`);
  return [...lines, '}', ''].join('\n');
}

/** Graphviz reads backslashes and the entities of HTML in labels. */
function quoted(lines: readonly string[]): string {
  const escaped = lines.map((line) =>
    line.replaceAll('&', '&amp;').replaceAll('\\', '\\\\').replaceAll('"', '\\"'),
  );
  return `"${escaped.join('\\n')}"`;
}
