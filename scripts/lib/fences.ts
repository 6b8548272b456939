/**
 * Finds the TypeScript fences of a document and turns each into a program that checks itself.
 *
 * - Every ts fence is a program of its own, with its own imports.
 * - `expr; // => value` (the expression may span lines, the marker may stand on the next line) becomes an assertion that
 *   the awaited expression is deeply equal to the value. `const x = …; // => value` asserts `x`,
 *   `console.log(x); // => value` asserts `x` and prints nothing.
 * - A fence behind the comment `<!-- output -->` that follows a program is what the program prints.
 * - A program behind `<!-- compile only -->` is type-checked, not run.
 *
 * A program keeps the line numbers of its document, so that whatever goes wrong in it points at the document.
 *
 * @module
 */
import { mask } from './mask.ts';

export interface Fence {
  /** The document, as it was named to {@link fencesOf}. */
  readonly file: string;
  /** Line of the document on which the code starts, from 1. */
  readonly line: number;
  readonly code: string;
  readonly compileOnly: boolean;
  /** What the program must print, without blanks at line ends. */
  readonly output: string | undefined;
}

interface Block {
  readonly language: string;
  readonly line: number;
  readonly code: string;
  /** The HTML comment right before the fence. */
  readonly comment: string | undefined;
  /** Only blank lines and comments stand between this fence and the one before it. */
  readonly adjacent: boolean;
}

/** The ts fences of a Markdown document, or of the doc comments when `file` ends in `.ts`. Throws on one it cannot use. */
export function fencesOf(file: string, text: string): Fence[] {
  const blocks = blocksOf(file.endsWith('.ts') ? docCommentsOf(text) : text.split('\n'));
  const fences: Fence[] = [];
  for (const [i, block] of blocks.entries()) {
    if (block.comment === 'output') {
      const program = blocks[i - 1];
      if (program === undefined || !isProgram(program) || !block.adjacent)
        throw new Error(`${file}:${block.line}: this output follows no ts fence`);
    }
    if (!isProgram(block)) continue;
    const after = blocks[i + 1];
    fences.push({
      file,
      line: block.line,
      code: block.code,
      compileOnly: block.comment === 'compile only',
      output: after?.comment === 'output' ? trimLines(after.code) : undefined,
    });
  }
  return fences;
}

/** The program that runs and checks `fence`, with the line numbers of its document. Throws on a fence that cannot be run. */
export function programOf(fence: Fence): string {
  const lines = fence.code.split('\n');
  const ellipsis = lines.findIndex((line) => /(?:\/\/|\/\*)\s*(?:\.\.\.|…)/.test(line));
  if (ellipsis >= 0)
    throw new Error('an ellipsis cannot be run; write the code out or leave it away');
  const masked = mask(fence.code, 'comments and strings').split('\n');
  let asserts = false;
  for (const [i, line] of lines.entries()) {
    const marker = /^(?<before>.*?)\/\/ =>\s*(?<value>.+)$/.exec(line);
    if (marker === null) continue;
    asserts = true;
    const start = startOfStatement(masked, i);
    if (start === undefined)
      throw new Error(`${fence.file}:${fence.line + i}: no expression stands before // =>`);
    const { before, value } = marker.groups!;
    const statement = [...lines.slice(start, i), before!].join('\n');
    for (const [j, part] of assertion(statement, value!).split('\n').entries())
      lines[start + j] = part;
  }
  const head = asserts ? "import docAssert from 'node:assert/strict';" : '';
  return `${head}${'\n'.repeat(fence.line - 1)}${lines.join('\n')}\nexport {};\n`;
}

/** Blanks at line ends, and empty lines at the end, are no difference of output. */
export function trimLines(text: string): string {
  return text.replaceAll(/[ \t]+$/gm, '').trimEnd();
}

function isProgram(block: Block): boolean {
  return block.language === 'ts' || block.language === 'typescript';
}

/** The text of doc comments on their own lines, every other line empty. */
function docCommentsOf(text: string): string[] {
  let inside = false;
  return text.split('\n').map((line) => {
    if (!inside) {
      inside = /^\s*\/\*\*/.test(line) && !line.includes('*/');
      return '';
    }
    if (line.includes('*/')) {
      inside = false;
      return '';
    }
    return line.replace(/^\s*\* ?/, '');
  });
}

function blocksOf(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let comment: string | undefined;
  let adjacent = false;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    const open = /^(?<indent> *)(?<fence>`{3,}|~{3,})(?<language>[^\s`]*)[^`]*$/.exec(line);
    if (open === null) {
      const said = /^\s*<!--\s*(?<text>.*?)\s*-->\s*$/.exec(line)?.groups!['text'];
      if (said !== undefined) comment = said;
      else if (line.trim() !== '') {
        comment = undefined;
        adjacent = false;
      }
      continue;
    }
    const { indent, fence, language } = open.groups!;
    const first = i + 1;
    for (i = first; i < lines.length; i++) if (lines[i]!.trim() === fence) break;
    const body = lines.slice(first, i).map((text) => text.slice(leading(text, indent!.length)));
    blocks.push({ language: language!, line: first + 1, code: body.join('\n'), comment, adjacent });
    comment = undefined;
    adjacent = true;
  }
  return blocks;
}

/** How many of the first `atMost` characters are spaces. */
function leading(text: string, atMost: number): number {
  return Math.min(atMost, text.length - text.trimStart().length);
}

/** Index of the line on which the statement that ends on line `end` starts: brackets closed, not a continuation. */
function startOfStatement(masked: readonly string[], end: number): number | undefined {
  let open = 0;
  for (let i = end; i >= 0; i--) {
    const line = masked[i]!;
    open += (line.match(/[)\]}]/g)?.length ?? 0) - (line.match(/[([{]/g)?.length ?? 0);
    if (open <= 0 && line.trim() !== '' && !/^\s*[.)\]}?:&|+*/<>=,-]/.test(line)) return i;
  }
  return undefined;
}

/** `statement` with the assertion around or behind it, on as many lines. */
function assertion(statement: string, value: string): string {
  const declared = /^\s*(?:export\s+)?(?:const|let)\s+(?<name>[\w$]+)/.exec(statement);
  const text = statement.trimEnd();
  const indent = text.length - text.trimStart().length;
  if (declared !== null)
    return `${text}${text.endsWith(';') ? '' : ';'} docAssert.deepEqual(await ${declared.groups!['name']}, ${value});`;
  const blanks = statement.slice(text.length).replaceAll(/[^\n]/g, '');
  let expression = text.slice(indent).replace(/;$/, '');
  expression =
    /^console\.log\((?<argument>.*)\)$/s.exec(expression)?.groups!['argument'] ?? expression;
  return `${text.slice(0, indent)}docAssert.deepEqual(await (${expression}), ${value});${blanks}`;
}
