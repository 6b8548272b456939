/**
 * @module
 */
import { optionalPackage } from '../../core/optional-package.ts';

/** What is needed of the package `@viz-js/viz`. */
export interface VizModule {
  instance(): Promise<{ renderString(dot: string, options: { format: 'svg' }): string }>;
}

/**
 * A picture in the language of Graphviz as an `<svg>` element, to be written to a file or into a page.
 *
 * @throws {@link MillraceError} `MR_DEPENDENCY_MISSING` when `@viz-js/viz` cannot be loaded.
 */
export async function svg(
  dot: string,
  load: () => Promise<VizModule> = () => import('@viz-js/viz'),
): Promise<string> {
  const viz = await optionalPackage(
    '@viz-js/viz',
    'SVG pictures need',
    load,
    "use the format 'dot' or 'mermaid'",
  );
  const document = (await viz.instance()).renderString(dot, { format: 'svg' });
  // Without the prologue of a file, which a page must not contain.
  return document.slice(document.indexOf('<svg'));
}
