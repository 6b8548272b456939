import { existsSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { fromProcess } from '../../src/connectors/process/from-process.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { codeOf, codeOfRejection } from '../stream/helpers.ts';
import { gate, rejection, turn, until, withDirectory } from './support.ts';

/** A Node that runs a program given as text. */
function node(program: string): [string, string[]] {
  return [process.execPath, ['-e', program]];
}

/** Whether a process is there. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('fromProcess', () => {
  test('gives the lines of standard output, the last one as it is', async () => {
    const lines = await fromProcess('printf', ['one\ntwo\nthree']).toArray();
    expect(lines.map(String)).toEqual(['one\n', 'two\n', 'three']);
    expect(Buffer.isBuffer(lines[0])).toBe(true);
  });

  test('texts, without their ends, cut somewhere else', async () => {
    const options = { encoding: 'utf8', keepEnd: false, delimiter: ';' } as const;
    expect(await fromProcess('printf', ['ä;b'], options).toArray()).toEqual(['ä', 'b']);
  });

  test('lines of standard error too, if they shall be', async () => {
    const [command, args] = node('console.log("out"); console.error("err")');
    const lines = await fromProcess(command, args, { stderr: true, encoding: 'utf8' }).toArray();
    expect(lines.toSorted()).toEqual(['err\n', 'out\n']);
  });

  test('runs where and with what it is told', async () => {
    const [command, args] = node('console.log(process.cwd() + " " + process.env.WHO)');
    const options = {
      cwd: tmpdir(),
      env: { WHO: 'me' },
      encoding: 'utf8',
      keepEnd: false,
    } as const;
    const lines = await fromProcess(command, args, options).toArray();
    expect(lines).toEqual([`${realpathSync(tmpdir())} me`]);
  });

  test('another exit code than 0 fails the stream, behind its lines', async () => {
    const seen: string[] = [];
    const [command, args] = node('console.log("last words"); process.exitCode = 3');
    const error = await rejection(
      fromProcess(command, args)
        .tap((line) => void seen.push(String(line)))
        .toArray(),
    );
    expect(seen).toEqual(['last words\n']);
    expect(error).toMatchObject({ code: 'MR_IO', details: { exitCode: 3, signal: null } });
  });

  test('one that was killed by somebody else fails the stream', async () => {
    const [command, args] = node('process.kill(process.pid, "SIGKILL")');
    expect(await rejection(fromProcess(command, args).toArray())).toMatchObject({
      code: 'MR_IO',
      details: { exitCode: null, signal: 'SIGKILL' },
    });
  });

  test('a program that is not there fails start', async () => {
    const source = fromProcess('millrace-no-such-program');
    const error = await rejection(source.start());
    expect(MillraceError.is(error) && error.details).toMatchObject({ system: 'ENOENT' });
  });

  test('closing it ends the program', async () => {
    const [command, args] = node('console.log(process.pid); setInterval(() => {}, 1000)');
    const pids: number[] = [];
    const source = fromProcess(command, args, { encoding: 'utf8' });
    source.sink((line) => void pids.push(Number(line)));
    await until(() => pids.length === 1);
    expect(alive(pids[0]!)).toBe(true);
    await source.close();
    expect(alive(pids[0]!)).toBe(false);
  });

  test('one that ignores SIGTERM is killed', async () => {
    const [command, args] = node(
      'process.on("SIGTERM", () => {}); console.log(process.pid); setInterval(() => {}, 1000)',
    );
    const pids: number[] = [];
    const source = fromProcess(command, args, { encoding: 'utf8', killAfter: 1 });
    source.sink((line) => void pids.push(Number(line)));
    await until(() => pids.length === 1);
    await source.close();
    expect(alive(pids[0]!)).toBe(false);
  });

  test('when a value fails the program is ended', async () => {
    const [command, args] = node('console.log(process.pid); setInterval(() => {}, 1000)');
    let pid = 0;
    const all = fromProcess(command, args, { encoding: 'utf8' })
      .map((line) => {
        pid = Number(line);
        throw new RangeError('no value');
      })
      .toArray();
    await expect(all).rejects.toThrow('no value');
    await until(() => !alive(pid));
  });

  test('a program that prints faster than lines are dealt with has to wait', async () => {
    await withDirectory(async (directory) => {
      const done = join(directory, 'done');
      // Each write waits for room in the pipe.
      const [command, args] = node(`
        const fs = require('node:fs');
        const line = 'x'.repeat(99) + '\\n';
        for (let i = 0; i < 20_000; i++) fs.writeSync(1, line);
        fs.writeFileSync(${JSON.stringify(done)}, '');
      `);
      const { fn, values, openForGood } = gate();
      const source = fromProcess(command, args);
      source.sink(fn);
      await until(() => values.length === 1);
      for (let i = 0; i < 1_000; i++) await turn();
      expect(values.length).toBe(1);
      expect(existsSync(done)).toBe(false);
      openForGood();
      await until(() => values.length === 20_000);
      await until(() => existsSync(done));
      await source.close();
    });
  });

  test('a line that is too long ends it', async () => {
    const [command, args] = node(
      'process.stdout.write("x".repeat(5000)); setInterval(() => {}, 1000)',
    );
    const source = fromProcess(command, args, { maxLineBytes: 100 });
    expect(await codeOfRejection(source.toArray())).toBe('MR_RECORD_TOO_LARGE');
  });

  test('wrong arguments are told where they are given', () => {
    expect(codeOf(() => fromProcess(''))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => fromProcess('ls', '-l' as never))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => fromProcess('ls', [], { delimiter: '' }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => fromProcess('ls', [], { shell: true } as never))).toBe('MR_OPTION_INVALID');
  });
});
