import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { filenames } from '../../src/connectors/files/filenames.ts';
import { textFile } from '../../src/connectors/files/text-file.ts';
import type { TextFileOptions } from '../../src/connectors/files/text-file.ts';
import { textFileSink } from '../../src/connectors/files/text-file-sink.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into } from '../stream/helpers.ts';
import { asleep, gate, pass, turn, until, withDirectory } from './support.ts';

/** A file that is followed, in virtual time. */
async function following(
  text: string,
  body: (file: { path: string; lines: string[]; next: () => Promise<void> }) => Promise<void>,
  options: TextFileOptions = {},
): Promise<void> {
  await withDirectory(async (directory) => {
    const clock = new VirtualClock();
    const path = join(directory, 'a.log');
    writeFileSync(path, text);
    const source = textFile(path, { ...options, clock });
    const lines = into(source);
    await asleep(clock);
    await body({ path, lines, next: () => pass(clock, 100) });
    await source.close();
    expect(clock.timers).toBe(0);
  });
}

describe('textFile', () => {
  test('goes on with what is written, line by line', async () => {
    await following('one\ntw', async ({ path, lines, next }) => {
      expect(lines).toEqual(['one\n']);
      appendFileSync(path, 'o\nthree');
      await next();
      expect(lines).toEqual(['one\n', 'two\n']);
      appendFileSync(path, '\n');
      await next();
      expect(lines).toEqual(['one\n', 'two\n', 'three\n']);
    });
  });

  test('a file that was replaced is read to its end before the new one', async () => {
    await following('one\n', async ({ path, lines, next }) => {
      renameSync(path, `${path}.1`);
      // By a writer that has not noticed yet.
      appendFileSync(`${path}.1`, 'two\nthr');
      writeFileSync(path, 'four\n');
      await next();
      expect(lines).toEqual(['one\n', 'two\n', 'thr', 'four\n']);
      appendFileSync(path, 'five\n');
      await next();
      expect(lines.at(-1)).toBe('five\n');
    });
  });

  test('while there is no file it waits for one, and reads on what it has', async () => {
    await following('one\n', async ({ path, lines, next }) => {
      renameSync(path, `${path}.1`);
      await next();
      appendFileSync(`${path}.1`, 'two\n');
      await next();
      expect(lines).toEqual(['one\n', 'two\n']);
      writeFileSync(path, 'three\n');
      await next();
      expect(lines).toEqual(['one\n', 'two\n', 'three\n']);
    });
  });

  test('a file that was cut off is read from its start again', async () => {
    await following('one\ntwo\nunfinished', async ({ path, lines, next }) => {
      truncateSync(path, 0);
      appendFileSync(path, 'new\n');
      await next();
      expect(lines).toEqual(['one\n', 'two\n', 'unfinished', 'new\n']);
    });
  });

  test('reads a piece at a time, no faster than lines are dealt with', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'large.txt');
      const text = (letter: string) => `${letter.repeat(99)}\n`.repeat(20_000);
      writeFileSync(path, text('x'));
      const { fn, values, openForGood } = gate();
      const source = textFile(path, { follow: false });
      source.sink(fn);
      await until(() => values.length === 1);
      // Only what has been read before this stays as it was.
      writeFileSync(path, text('y'), { flag: 'r+' });
      openForGood();
      await until(() => values.length === 20_000);
      const before = values.filter((line) => String(line).startsWith('x'));
      expect(before.length).toBeLessThan(2_000);
      await source.drain();
    });
  });

  test('sends on as many lines at once as what follows works on', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'a.txt');
      writeFileSync(path, '1\n2\n3\n4\n5\n');
      const { fn, values, openForGood } = gate();
      const source = textFile(path, { follow: false });
      const all = source
        .map(
          async (line) => {
            await fn(line);
            return Number(line);
          },
          { concurrency: 3 },
        )
        .toArray();
      await until(() => values.length === 3);
      await turn();
      expect(values.length).toBe(3);
      openForGood();
      expect(await all).toEqual([1, 2, 3, 4, 5]);
    });
  });

  test('ends behind the last line when it shall not wait for more', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'a.txt');
      writeFileSync(path, 'ä;b;c');
      const all = (options: TextFileOptions) =>
        textFile(path, { follow: false, delimiter: ';', ...options }).toArray();
      expect(await all({})).toEqual(['ä;', 'b;', 'c']);
      expect(await all({ keepDelimiter: false })).toEqual(['ä', 'b', 'c']);
      expect(await all({ encoding: 'latin1' })).toEqual(['Ã¤;', 'b;', 'c']);
      expect(await all({ fromEnd: true })).toEqual([]);
      writeFileSync(path, '');
      expect(await all({})).toEqual([]);
    });
  });

  test('fails for a file that is not there, and for a line that is too long', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'a.txt');
      expect(await codeOfRejection(textFile(path).toArray())).toBe('MR_IO');
      writeFileSync(path, 'short\nfar too long\n');
      const source = textFile(path, { maxLineBytes: 8 });
      expect(await codeOfRejection(source.toArray())).toBe('MR_RECORD_TOO_LARGE');
    });
  });

  test('a value that fails ends it', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'a.txt');
      writeFileSync(path, 'one\ntwo\n');
      const source = textFile(path);
      const values = source
        .map((line) => {
          if (line === 'two\n') throw new RangeError('no two');
          return line;
        })
        .toArray();
      await expect(values).rejects.toThrow('no two');
    });
  });

  test('its signal ends it in good order', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'a.txt');
      writeFileSync(path, 'one\n');
      const clock = new VirtualClock();
      const stop = new AbortController();
      const all = textFile(path, { clock, signal: stop.signal }).toArray();
      await asleep(clock);
      stop.abort();
      expect(await all).toEqual(['one\n']);
    });
  });

  test('wrong options are told where they are given', () => {
    expect(codeOf(() => textFile(''))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => textFile('a', { pollInterval: 0 }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => textFile('a', { delimiter: '' }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => textFile('a', { maxLineBytes: 0 }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => textFile('a', { encoding: 'ucs2' as 'utf8' }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => textFile('a', { form: 'end' } as TextFileOptions))).toBe(
      'MR_OPTION_INVALID',
    );
  });
});

describe('filenames', () => {
  test('names what is in a directory and what comes, but not what is hidden or deeper', async () => {
    await withDirectory(async (directory) => {
      const clock = new VirtualClock();
      for (const name of ['b', '.hidden', 'a']) writeFileSync(join(directory, name), '');
      mkdirSync(join(directory, 'deeper'));
      const source = filenames(directory, { clock });
      const names = into(source);
      await asleep(clock);
      expect(names).toEqual([join(directory, 'a'), join(directory, 'b')]);
      writeFileSync(join(directory, 'c'), '');
      await pass(clock, 100);
      await pass(clock, 100);
      expect(names.slice(2)).toEqual([join(directory, 'c')]);
      await source.close();
    });
  });

  test('a file that was away comes again, and what is gone is forgotten', async () => {
    await withDirectory(async (directory) => {
      const clock = new VirtualClock();
      const path = join(directory, 'a.csv');
      writeFileSync(path, '');
      const source = filenames(join(directory, '*.csv'), { clock });
      const names = into(source);
      await asleep(clock);
      rmSync(path);
      await pass(clock, 100);
      writeFileSync(path, '');
      await pass(clock, 100);
      expect(names).toEqual([path, path]);
      await source.close();
    });
  });

  test('of a pattern directories are left out, and one that matches nothing has no names', async () => {
    await withDirectory(async (directory) => {
      mkdirSync(join(directory, 'in', 'deep'), { recursive: true });
      for (const name of ['1.txt', 'in/2.txt', 'in/deep/3.txt'])
        writeFileSync(join(directory, name), '');
      const all = (pattern: string) =>
        filenames(join(directory, pattern), { follow: false }).toArray();
      expect(await all('**/*.txt')).toEqual(
        ['1.txt', 'in/2.txt', 'in/deep/3.txt'].map((name) => join(directory, name)),
      );
      expect(await all('*')).toEqual([join(directory, '1.txt')]);
      expect(await all('nowhere/*.txt')).toEqual([]);
    });
  });
});

describe('textFileSink', () => {
  test('what was dealt with is in the file', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'out.txt');
      writeFileSync(path, 'before\n');
      const source = new Stream();
      await using sink = textFileSink(path);
      source.sink(sink);
      await source.emit('text');
      await source.emit(Buffer.from('bytes'));
      await source.emit({ n: 1 });
      expect(readFileSync(path, 'utf8')).toBe('before\ntext\nbytes\n{"n":1}\n');
      expect(await codeOfRejection(source.emit(undefined))).toBe('MR_ENCODE_FAILED');
    });
  });

  test('empties the file first, once, when it shall not append', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'out.txt');
      writeFileSync(path, 'before');
      const sink = textFileSink(path, { append: false, end: '' });
      await sink('a');
      await sink('b');
      await sink.close();
      expect(readFileSync(path, 'utf8')).toBe('ab');
    });
  });

  test('puts files away when they are long, and keeps so many', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'out.txt');
      const sink = textFileSink<string>(path, { rotate: { maxBytes: 10, keep: 2 } });
      for (const text of ['aaaa', 'bbbb', 'cccc', 'dddd', 'longer than ten', 'eeee', 'ffff'])
        await sink(text);
      await sink.close();
      const read = (name: string) => readFileSync(join(directory, name), 'utf8');
      expect(read('out.txt')).toBe('eeee\nffff\n');
      expect(read('out.txt.1')).toBe('longer than ten\n');
      expect(read('out.txt.2')).toBe('cccc\ndddd\n');
      expect(existsSync(`${path}.3`)).toBe(false);
    });
  });

  test('with flush close it writes when there is enough, and rotates between values', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'out.txt');
      const sink = textFileSink<string>(path, {
        flush: 'close',
        rotate: { maxBytes: 200_000, keep: 9 },
      });
      const line = 'x'.repeat(999);
      for (let i = 0; i < 50; i++) await sink(line);
      expect(existsSync(path)).toBe(false);
      for (let i = 0; i < 350; i++) await sink(line);
      expect(existsSync(path)).toBe(true);
      await sink.close();
      expect(readFileSync(`${path}.1`).length).toBe(200_000);
      expect(readFileSync(path).length).toBe(200_000);
    });
  });

  test('a file that cannot be written fails the value, and the next one tries again', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'later', 'out.txt');
      const sink = textFileSink<string>(path);
      expect(await codeOfRejection(sink('a'))).toBe('MR_IO');
      mkdirSync(join(directory, 'later'));
      await sink('b');
      await sink.close();
      expect(readFileSync(path, 'utf8')).toBe('b\n');
      expect(await codeOfRejection(sink('c'))).toBe('MR_CLOSED');
    });
  });

  test('calls that are not awaited are written in order, and close waits for them', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'out.txt');
      const sink = textFileSink<number>(path, { end: ' ' });
      for (let i = 0; i < 5; i++) void sink(i);
      await sink.close();
      expect(readFileSync(path, 'utf8')).toBe('0 1 2 3 4 ');
    });
  });
});
