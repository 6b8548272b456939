/**
 * @module
 */

/**
 * A text to stand between quotes in a flowchart of Mermaid. All that could mean something there, or to the HTML that is made of it, becomes a
 * code of Mermaid, `#34;`: it knows directives, comments and styles anywhere in a line.
 *
 * @see https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters
 */
export function mermaidText(text: string): string {
  return text.replaceAll(
    /[^\p{L}\p{M}\p{N} _.,…/()+-]/gu,
    (char) => `#${char.codePointAt(0) as number};`,
  );
}
