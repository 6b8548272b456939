/**
 * @module
 */
import type { Direction } from './dot.ts';
import { mermaidText } from './mermaid-text.ts';
import type { Picture } from './picture.ts';
import type { Shape } from './shape.ts';

/** What surrounds the text of a node. Octagons are hexagons, sources have two lines at their sides. */
const brackets: Readonly<Record<Shape, readonly [open: string, close: string]>> = {
  ellipse: ['([', '])'],
  box: ['[', ']'],
  diamond: ['{', '}'],
  octagon: ['{{', '}}'],
  doubleoctagon: ['[[', ']]'],
  trapezium: ['[/', '\\]'],
  triangle: ['>', ']'],
  cylinder: ['[(', ')]'],
};

/**
 * A picture as a flowchart of Mermaid.
 *
 * @see https://mermaid.js.org/syntax/flowchart.html
 */
export function mermaid({ nodes, edges }: Picture, rankdir: Direction): string {
  const lines = [`flowchart ${rankdir}`];
  for (const { id, lines: text, shape } of nodes) {
    const [open, close] = brackets[shape];
    lines.push(`  ${id}${open}${quoted(text)}${close}`);
  }
  for (const { from, to, lines: text } of edges)
    lines.push(`  ${from} -->${text.length === 0 ? '' : `|${quoted(text)}|`} ${to}`);
  return `${lines.join('\n')}\n`;
}

function quoted(lines: readonly string[]): string {
  return `"${lines.map(mermaidText).join('<br>')}"`;
}
