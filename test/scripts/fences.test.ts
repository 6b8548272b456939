import { describe, expect, test } from 'vitest';
import { fencesOf, programOf } from '../../scripts/lib/fences.ts';

const fenced = (code: string, language = 'ts'): string => `\`\`\`${language}\n${code}\n\`\`\`\n`;
const only = (text: string, file = 'a.md') => {
  const fences = fencesOf(file, text);
  expect(fences).toHaveLength(1);
  return fences[0]!;
};
/** The lines of the program of one fence, without the line that is put before and the one behind. */
const program = (code: string): string[] => {
  const lines = programOf(only(`\n${fenced(code)}`)).split('\n');
  expect(lines.slice(-2)).toEqual(['export {};', '']);
  return lines.slice(2, -2);
};

describe('fencesOf', () => {
  test('ts fences alone, with the line of their first line of code', () => {
    const text = `# title\n\n${fenced('a();')}\ntext\n\n${fenced('ls', 'sh')}\n${fenced('b();\nc();')}`;
    expect(fencesOf('a.md', text).map(({ line, code }) => [line, code])).toEqual([
      [4, 'a();'],
      [14, 'b();\nc();'],
    ]);
  });

  test('the comment right before a fence says that it is compiled only', () => {
    expect(only(`<!-- compile only -->\n\n${fenced('a();')}`).compileOnly).toBe(true);
    expect(only(`<!-- compile only -->\ntext\n${fenced('a();')}`).compileOnly).toBe(false);
  });

  test('the fence behind <!-- output --> belongs to the program before it', () => {
    const output = `\n<!-- output -->\n\n${fenced('1  \n2\n', 'text')}`;
    expect(only(fenced('a();') + output).output).toBe('1\n2');
    expect(only(fenced('a();') + fenced('1', 'text')).output).toBeUndefined();
    expect(() => fencesOf('a.md', `${fenced('a();')}text\n${output}`)).toThrow(
      'a.md:9: this output',
    );
    expect(() => fencesOf('a.md', `${fenced('ls', 'sh')}${output}`)).toThrow('follows no ts fence');
  });

  test('an indented fence loses its indent, a longer fence holds a shorter one', () => {
    expect(only('- item\n\n  ```ts\n  a({\n    b,\n  });\n\n  ```\n').code).toBe(
      'a({\n  b,\n});\n',
    );
    expect(only('````ts\n// ```ts\n````\n').code).toBe('// ```ts');
  });

  test('doc comments of a source file', () => {
    const text =
      "const text = '```ts';\n/**\n * Says it.\n *\n * @example\n * ```ts\n * if (a) {\n *   b();\n * }\n * ```\n */\nexport {};\n";
    expect(only(text, 'src/a.ts')).toMatchObject({ line: 7, code: 'if (a) {\n  b();\n}' });
  });
});

describe('programOf', () => {
  test('keeps the line numbers of the document', () => {
    const lines = programOf(only(`\n\n\n${fenced('a();\nb(); // => 1')}`)).split('\n');
    expect(lines[4]).toBe('a();');
    expect(lines[5]).toBe('docAssert.deepEqual(await (b()), 1);');
  });

  test.each([
    ['a(b); // => [1, 2]', ['docAssert.deepEqual(await (a(b)), [1, 2]);']],
    ['a // => 1', ['docAssert.deepEqual(await (a), 1);']],
    ['await a(); // => { b: 1 }', ['docAssert.deepEqual(await (await a()), { b: 1 });']],
    ["x = 'a // b'; // => 1", ["docAssert.deepEqual(await (x = 'a // b'), 1);"]],
    ['const a = b(); // => 1', ['const a = b(); docAssert.deepEqual(await a, 1);']],
    ['console.log(a, b); // => 1', ['docAssert.deepEqual(await (a, b), 1);']],
    ['console.log(a(1)); // => 1', ['docAssert.deepEqual(await (a(1)), 1);']],
    ['if (x) {\n  a(); // => 1\n}', ['if (x) {', '  docAssert.deepEqual(await (a()), 1);', '}']],
    ['b()\na() // => 1', ['b()', 'docAssert.deepEqual(await (a()), 1);']],
    [
      'await a\n  .b((x) => {\n    c();\n  })\n  .d(); // => 1',
      ['docAssert.deepEqual(await (await a', '  .b((x) => {', '    c();', '  })', '  .d()), 1);'],
    ],
    ['a({\n  b,\n}); // => 1', ['docAssert.deepEqual(await (a({', '  b,', '})), 1);']],
    ['a();\n// => 1', ['docAssert.deepEqual(await (a()), 1);', '']],
    [
      'const a = [\n  1,\n]; // => [1]',
      ['const a = [', '  1,', ']; docAssert.deepEqual(await a, [1]);'],
    ],
  ])('%s', (code, lines) => {
    expect(program(code)).toEqual(lines);
  });

  test.each(['// ...', 'a(); // … and so on', 'f(/* ... */);'])(
    'refuses the ellipsis %s',
    (code) => {
      expect(() => program(code)).toThrow('ellipsis');
    },
  );

  test('a marker without an expression is refused', () => {
    expect(() => program('// => 1')).toThrow('a.md:3: no expression stands before');
  });
});
