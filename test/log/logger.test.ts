/** Log lines: what they look like, and what they never show. */
import { describe, expect, test } from 'vitest';

import { MillraceError } from '../../src/core/errors.ts';
import type { LogLevel } from '../../src/core/log.ts';
import { createLogger } from '../../src/log/logger.ts';
import type { LoggerOptions, LogStream } from '../../src/log/logger.ts';
import { VirtualClock } from '../../src/index.ts';

class Lines implements LogStream {
  readonly isTTY: boolean;
  text = '';

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(line: string): void {
    this.text += line;
  }

  get json(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

const clock = new VirtualClock(1_000);

async function log(
  write: (logger: Awaited<ReturnType<typeof createLogger>>) => void,
  options: LoggerOptions = {},
  stream = new Lines(),
): Promise<Lines> {
  write(await createLogger({ clock, stream, ...options }));
  return stream;
}

describe('JSON', () => {
  test('one object a line, with level, time, base, fields and message', async () => {
    const lines = await log(
      (logger) => {
        logger.info({ app: 'shop', tasks: 4 }, 'worker running');
        logger.warn({}, 'careful');
      },
      { base: { pid: 7 } },
    );
    expect(lines.text).toBe(
      '{"level":"info","time":"1970-01-01T00:00:01.000Z","pid":7,"app":"shop","tasks":4,"msg":"worker running"}\n' +
        '{"level":"warn","time":"1970-01-01T00:00:01.000Z","pid":7,"msg":"careful"}\n',
    );
  });

  test.each<[LogLevel, number]>([
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
  ])('level %s', async (level, count) => {
    const lines = await log(
      (logger) => {
        for (const name of ['debug', 'info', 'warn', 'error'] as const) logger[name]({}, name);
      },
      { level },
    );
    expect(lines.json).toHaveLength(count);
  });

  test('an error has its code, text, details and cause', async () => {
    const cause = new TypeError('no such thing');
    const error = new MillraceError('MR_IO', 'the disk is gone', {
      domain: 'external',
      retryable: true,
      cause,
      details: { offset: 3n },
    });
    const [line] = (await log((logger) => logger.error({ error }, 'failed'))).json;
    expect(line?.['error']).toMatchObject({
      type: 'MillraceError',
      code: 'MR_IO',
      message: 'the disk is gone',
      domain: 'external',
      retryable: true,
      details: { offset: '3' },
      cause: { type: 'TypeError', message: 'no such thing' },
    });
  });
});

describe('what is never shown', () => {
  test('secrets of URLs, wherever they stand', async () => {
    const url = 'kafka://user:hunter2@broker:9092/topic?password=hunter2#hunter2';
    const lines = await log((logger) =>
      logger.warn(
        {
          url,
          nested: { list: [url], map: new Map([['at', url]]), href: new URL(url) },
          error: new Error(`cannot reach ${url}`, { cause: new Error(url) }),
        },
        `cannot reach ${url}, "${url}"`,
      ),
    );
    expect(lines.text).not.toContain('hunter2');
    expect(lines.json[0]?.['msg']).toBe(
      'cannot reach kafka://***@broker:9092/topic, "kafka://***@broker:9092/topic"',
    );
  });

  test('members with telling names', async () => {
    const lines = await log((logger) =>
      logger.info(
        {
          password: 'hunter2',
          options: { apiKey: 'hunter2', accessToken: 'hunter2', sasl_password: 'hunter2' },
          headers: { Authorization: 'hunter2' },
          key: 'k1',
          tokens: 3,
        },
        'x',
      ),
    );
    expect(lines.text).not.toContain('hunter2');
    expect(lines.json[0]).toMatchObject({ password: '[hidden]', key: 'k1', tokens: 3 });
  });

  test('pretty lines keep the same secrets', async () => {
    const lines = await log(
      (logger) => logger.warn({ password: 'hunter2', url: 'x://a:hunter2@b/' }, 'x://a:hunter2@b/'),
      { format: 'pretty' },
    );
    expect(lines.text).not.toContain('hunter2');
    expect(lines.text).toContain('x://***@b/');
  });
});

test('anything can be a field: cycles, proxies, functions, bytes, depth, length', async () => {
  const cycle: Record<string, unknown> = { name: 'cycle' };
  cycle['self'] = cycle;
  const hostile = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('no');
      },
    },
  );
  let deep: unknown = 'bottom';
  for (let i = 0; i < 50; i++) deep = { deep };
  const lines = await log((logger) =>
    logger.info(
      {
        cycle,
        hostile,
        fn: () => undefined,
        bytes: new Uint8Array(9),
        deep,
        long: 'x'.repeat(100_000),
        many: Array.from({ length: 10_000 }, () => 1),
        nothing: null,
        missing: undefined,
        symbol: Symbol('s'),
      },
      'odd',
    ),
  );
  expect(lines.text.length).toBeLessThan(20_000);
  expect(lines.json[0]).toMatchObject({
    cycle: { name: 'cycle', self: '[circular]' },
    hostile: '[unreadable]',
    bytes: '[9 bytes]',
    nothing: null,
    symbol: 'Symbol(s)',
  });
});

describe('readable lines', () => {
  test('on a terminal by default, with colours unless NO_COLOR is set', async () => {
    const colored = await log(
      (logger) => logger.info({ app: 'shop' }, 'worker running'),
      { color: true },
      new Lines(true),
    );
    expect(colored.text).toContain('\u001b[');
    const plain = await log(
      (logger) => logger.info({ app: 'shop' }, 'worker running'),
      { color: false },
      new Lines(true),
    );
    expect(plain.text).toMatch(
      /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: worker running \{"app":"shop"\}\n$/u,
    );
  });

  test('the stack of an error', async () => {
    const lines = await log(
      (logger) => logger.error({ error: new TypeError('no such thing') }, 'failed'),
      { format: 'pretty' },
    );
    expect(lines.text).toMatch(/ERROR: failed[^]*TypeError: no such thing\n\s+at /u);
  });
});

test('a stream that refuses lines fails nobody', async () => {
  const logger = await createLogger({
    clock,
    stream: {
      write: () => {
        throw new Error('EPIPE');
      },
    },
  });
  expect(() => logger.error({}, 'lost')).not.toThrow();
});

test.each([
  [{ level: 'loud' }, /level of the logger is "loud"; give 'debug', 'info', 'warn', 'error'/u],
  [{ format: 'xml' }, /format of the logger is "xml"; give 'pretty', 'json'/u],
])('%j is refused', async (options, text) => {
  const made = createLogger({ clock, ...(options as LoggerOptions) });
  await expect(made).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
  await expect(made).rejects.toThrow(text);
});
