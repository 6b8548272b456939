/**
 * An agent that is asked by every process of its app, and jobs of the leader. A question has an answer that is committed, or an error that says why
 * not; who asks may die meanwhile.
 *
 * @module
 */
import { App, MillraceError, unchecked } from '../../src/index.ts';
import { sleep } from '../../src/core/clock.ts';
import { equal, sorted } from '../lib/expect.ts';
import { small } from '../lib/scenario.ts';
import type { Declared, Ending, Fact, Input, Scenario, Setting } from '../lib/scenario.ts';
import { Violation } from '../lib/violation.ts';

/** Questions of a process, and how long it waits for an answer. */
const QUESTIONS = 3;
const LEAST_WAIT_MS = 200;
/** How late the end of a wait may be noticed. */
const LATE_MS = 1;
const FIRST_QUESTION = 1_000_000;

interface Answer {
  readonly id: number;
  readonly double: number;
}

type Noted =
  | { readonly kind: 'asked'; readonly id: number; readonly timeoutMs: number }
  | { readonly kind: 'answer'; readonly id: number; readonly double: number; readonly is: number }
  | { readonly kind: 'failed'; readonly id: number; readonly code: string }
  | { readonly kind: 'led' };

/** What a question may fail with, whatever it is. */
const expected: readonly string[] = [
  'MR_TIMEOUT',
  'MR_ABORTED',
  'MR_CLOSED',
  'MR_IO',
  'MR_DISK_FULL',
];

function declare({ sizes, clock, random, options, note, leads }: Setting): Declared {
  const { partitions, concurrency } = sizes;
  const app = new App('desk', options);
  const source = app.topic('requests', {
    key: unchecked<string>(),
    value: unchecked<Input>(),
    partitions,
    timestamp: (request: Input) => request.at,
  });
  const answered = app.topic('answered', {
    key: unchecked<string>(),
    value: unchecked<Answer>(),
    partitions: 1,
  });
  const answers = app.table('answers', { default: () => 0 });
  // A second part of the app: now the first task may be the one that goes to somebody who joins.
  const came = app.table('came', { default: () => 0 });
  source.stream().update(came, (count) => count + 1);
  const desk = app.each(
    'answer',
    source,
    async (request: Input): Promise<Answer> => {
      if (random.below(2) === 0) await sleep(clock, random.below(30));
      answers.update(request.user, (count) => count + 1);
      if (isBad(request)) throw new Error('a question without an answer');
      return { id: request.id, double: 2 * request.amount };
    },
    { sinks: [answered], concurrency, onError: 'skip' },
  );
  const say: (noted: Noted) => void = note;
  app.task(async (context) => {
    for (let i = 0; i < QUESTIONS; i++) {
      await context.sleep(random.below(150));
      const id = FIRST_QUESTION + random.below(1_000_000_000);
      const amount = 1 + random.below(9);
      const request = { id, user: `u${random.below(6)}`, item: 'asked', amount, at: clock.now() };
      const timeoutMs = LEAST_WAIT_MS + random.below(2_000);
      say({ kind: 'asked', id, timeoutMs });
      try {
        const { double } = await desk.ask(request, {
          key: request.user,
          timeout: timeoutMs,
          signal: context.signal,
        });
        say({ kind: 'answer', id, double, is: 2 * amount });
      } catch (error) {
        say({ kind: 'failed', id, code: MillraceError.is(error) ? error.code : String(error) });
      }
    }
  });
  app.timer(
    90,
    () => {
      leads();
      say({ kind: 'led' });
    },
    { onLeader: true },
  );
  app.task(
    async (context) => {
      for (;;) {
        leads();
        await context.sleep(70);
      }
    },
    { onLeader: true },
  );
  return { app, source };
}

function isBad({ id, item }: Input): boolean {
  return id % 7 === 3 && item !== 'end';
}

export const asked: Scenario = {
  name: 'asked',
  scale: { ...small, workers: [1, 2, 2] },
  group: 'desk',
  declare,
  once: {
    requests: ({ id }: Input) => String(id),
    answered: ({ id }: Answer) => String(id),
  },
  complete: ({ values, facts }) =>
    facts.some(({ fact }) => (fact as Noted).kind === 'led') &&
    openOf(facts).size === 0 &&
    values('answered').length ===
      (values('requests') as Input[]).filter((request) => !isBad(request)).length,
  check({ inputs, values, facts, rows }: Ending) {
    const requests = values('requests') as Input[];
    const good = requests.filter((request) => !isBad(request));
    const done = new Set((values('answered') as Answer[]).map(({ id }) => id));
    equal(
      'requests of the loader',
      sorted(requests.map(({ id }) => id).filter((id) => id < FIRST_QUESTION)),
      inputs.map(({ id }) => id),
    );
    equal('answered', sorted([...done]), sorted(good.map(({ id }) => id)));
    const counted = [...rows('answers').values()].reduce<number>(
      (sum, n) => sum + (n as number),
      0,
    );
    equal('answers', counted, good.length);
    for (const { fact } of facts) checkFact(fact as Noted, done);
    checkTimes(facts);
  },
};

/** Nobody waits for longer than it wanted to, unless it was frozen. */
function checkTimes(facts: readonly Fact[]): void {
  const begun = new Map<number, { readonly atMs: number; readonly timeoutMs: number }>();
  for (const { by, atMs, fact } of facts as readonly (Fact & { readonly fact: Noted })[]) {
    if (fact.kind === 'led') continue;
    if (fact.kind === 'asked') {
      begun.set(fact.id, { atMs, timeoutMs: fact.timeoutMs });
      continue;
    }
    const question = begun.get(fact.id) as { readonly atMs: number; readonly timeoutMs: number };
    const overMs = atMs - question.atMs - question.timeoutMs;
    if (overMs > LATE_MS && by.wokeMs < question.atMs)
      throw new Violation(
        'answers',
        `question ${fact.id} ended ${Math.round(overMs)} ms after its time`,
      );
  }
}

function checkFact(fact: Noted, done: ReadonlySet<number>): void {
  if (fact.kind === 'answer') {
    equal(`the answer to ${fact.id}`, fact.double, fact.is);
    if (!done.has(fact.id))
      throw new Violation('answers', `question ${fact.id} has an answer that was never committed`);
  }
  if (fact.kind !== 'failed' || expected.includes(fact.code)) return;
  const given = fact.code === 'MR_PROCESSING_FAILED' && fact.id % 7 === 3;
  if (!given) throw new Violation('answers', `question ${fact.id} failed with ${fact.code}`);
}

/** Questions of processes that live, without an answer so far. */
function openOf(facts: readonly Fact[]): Set<number> {
  const open = new Set<number>();
  for (const { by, fact } of facts as readonly (Fact & { readonly fact: Noted })[])
    if (fact.kind === 'asked' && !by.dead) open.add(fact.id);
    else if (fact.kind !== 'led') open.delete((fact as { readonly id: number }).id);
  return open;
}
