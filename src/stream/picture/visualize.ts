/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { checkOptions, kindOf } from '../../core/given.ts';
import type { Known } from '../../core/given.ts';
import type { Node } from '../graph.ts';
import { LiveNode } from '../live-node.ts';
import { dot } from './dot.ts';
import type { Direction } from './dot.ts';
import { mermaid } from './mermaid.ts';
import { pictureOf } from './picture.ts';
import type { Picture } from './picture.ts';
import { ratesOf } from './rates.ts';
import { svg } from './svg.ts';

/** How `visualize` draws a graph. */
export interface VisualizeOptions {
  /** The language of Graphviz, that of Mermaid, or a finished picture. Default `'dot'`. */
  readonly format?: 'dot' | 'mermaid' | 'svg' | undefined;
  /**
   * Whether edges say how many values have gone over them, and how many per second. They are counted from the first picture that
   * asks for it. Not on the stream of a topic. Default false.
   */
  readonly rates?: boolean | undefined;
  /** Whether the graph leads to the right or down. Default `'LR'`. */
  readonly rankdir?: Direction | undefined;
}

/** `visualize` of a stream or a sink: a text, or the promise of an `<svg>` element. */
export interface Visualize {
  (options: VisualizeOptions & { readonly format: 'svg' }): Promise<string>;
  (options?: VisualizeOptions & { readonly format?: 'dot' | 'mermaid' | undefined }): string;
  (options: VisualizeOptions): string | Promise<string>;
}

const known: Known<VisualizeOptions> = { format: true, rates: true, rankdir: true };

/**
 * Draws the whole graph that `node` belongs to.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`; `MR_TEMPLATE` for rates of a graph that carries no values itself. The promise of an SVG rejects
 * with `MR_DEPENDENCY_MISSING` when the package `@viz-js/viz` is not installed.
 */
export function visualize(node: Node, options: VisualizeOptions = {}): string | Promise<string> {
  checkOptions('visualize', options, known);
  const { format = 'dot', rates = false, rankdir = 'LR' } = options;
  if (rankdir !== 'LR' && rankdir !== 'TB') throw invalid('rankdir', rankdir, "'LR' or 'TB'");
  if (typeof rates !== 'boolean') throw invalid('rates', rates, 'true or false');
  const picture = rates ? withRates(mustLive(node)) : pictureOf(node);
  switch (format) {
    case 'dot':
      return dot(picture, rankdir);
    case 'mermaid':
      return mermaid(picture, rankdir);
    case 'svg':
      return svg(dot(picture, rankdir));
    default:
      throw invalid('format', format, "'dot', 'mermaid' or 'svg'");
  }
}

function withRates(node: LiveNode): Picture {
  return pictureOf(node, ratesOf(node));
}

function mustLive(node: Node): LiveNode {
  if (node instanceof LiveNode) return node;
  throw new MillraceError(
    'MR_TEMPLATE',
    `visualize with rates on ${node.toString()}, which belongs to an app: it describes what every task does and carries no values itself; leave rates out`,
    { details: { stream: node.name ?? node.kind, method: 'visualize' } },
  );
}

function invalid(option: string, value: unknown, instead: string): MillraceError {
  return new MillraceError(
    'MR_OPTION_INVALID',
    `${option} of visualize is ${kindOf(value)}; give ${instead}`,
    { details: { option, value } },
  );
}
