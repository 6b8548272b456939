/**
 * Handlers that update a table, send on, then throw, under each error policy and with kill -9 in between: what failed has left no trace, and the
 * rest counts once. `MILLRACE_SEED` replays the choices.
 */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { handlers, JOBS, keyOf, kindOf, policies, policyApp, TIMES } from './policy-app.ts';
import type { PolicyApp, PolicyName, PolicyPart } from './policy-app.ts';
import { headerTexts } from './header-texts.ts';
import { Program } from './processes.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const child = new URL('policy-child.ts', import.meta.url);
const KILLS = 3;

const all = Array.from({ length: JOBS }, (_, n) => n);
const commitsIn = (said: string): number => said.match(/^commit/gmu)?.length ?? 0;

test.each(policies)('%s', async (policy) => {
  const random = seededRandom(seed);
  await withDirectory(async (directory) => {
    const app = policyApp(directory, policy, true);
    const programs: Program[] = [];
    const start = (how: 'troubled' | 'cured'): Program => {
      const program = new Program(child, [directory, policy, how]);
      programs.push(program);
      return program;
    };
    try {
      await Promise.all(all.map((n) => app.jobs.send(n, { key: keyOf(n) })));
      let killed = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const commits = 1 + random.below(25);
        const program = start('troubled');
        await program
          .until(`commit, ${commits} times`, (said) => commitsIn(said) >= commits)
          .then(() => killed++)
          // A policy may have ended it before, or it may have done everything.
          .catch(() => undefined);
        await program.end();
        expect(program.stderr).toBe('');
      }
      const fails = policy === 'fail' || policy === 'retry';
      const last = start('troubled');
      expect(await last.status, last.stderr).toBe(fails ? 1 : 0);
      if (fails) {
        expect(last.stdout).toMatch(
          /failed MR_PROCESSING_FAILED processing failed at jobs\[\d\] offset \d+, key "k\d": (?:bad|flaky) job \d+/u,
        );
        const after = start('cured');
        expect(await after.status, after.stdout).toBe(0);
      }
      expect(killed).toBeGreaterThan(0);
      await expectOutcome(app, policy);
      process.stdout.write(`policy-kill: ${policy}, seed ${seed}, ${killed} kills\n`);
    } finally {
      await Promise.all(programs.map((program) => program.end()));
      await app.app.close();
    }
  });
});

async function expectOutcome(app: PolicyApp, policy: PolicyName): Promise<void> {
  const given = policy === 'fail' || policy === 'retry' ? [] : all.filter((n) => isBad(n, policy));
  const done = all.filter((n) => !given.includes(n));
  for (const name of handlers) {
    await expectDone(app.parts[name], done, name);
    await expectDead(app.parts[name], policy === 'skip' ? [] : given, policy, name);
  }
  const running = await app.app.start();
  const { events, skipped, deadLettered, late, lost } = running.stats;
  await running.stop();
  expect({ events, skipped, deadLettered, late, lost }).toEqual({
    events: JOBS * handlers.length,
    skipped: policy === 'skip' ? given.length * handlers.length : 0,
    deadLettered: policy === 'skip' ? 0 : given.length * handlers.length,
    late: {},
    lost: 0,
  });
}

const isBad = (n: number, policy: PolicyName): boolean => kindOf(n, policy) === 'bad';

/** These jobs count, each once. */
async function expectDone(
  { sums, outputs }: PolicyPart,
  done: readonly number[],
  name: string,
): Promise<void> {
  const wanted: Record<string, number> = {};
  for (const n of done) wanted[keyOf(n)] = (wanted[keyOf(n)] ?? 0) + n;
  expect(Object.fromEntries(await Array.fromAsync(sums.snapshot())), name).toEqual(wanted);
  const found: number[] = [];
  for await (const { value } of outputs.records()) found.push(value);
  expect(
    found.toSorted((a, b) => a - b),
    name,
  ).toEqual(done.map((n) => n * 2));
}

/** These jobs are dead letters, each once, and say where they come from. */
async function expectDead(
  { dead }: PolicyPart,
  wanted: readonly number[],
  policy: PolicyName,
  name: string,
): Promise<void> {
  const found: number[] = [];
  for await (const { key, value, headers } of dead.records()) {
    found.push(value);
    expect(key).toBe(keyOf(value));
    expect(headerTexts(headers), name).toMatchObject({
      'mr-error-name': 'Error',
      'mr-error-message': `bad job ${value}`,
      'mr-origin-topic': 'jobs',
      'mr-origin-partition': expect.stringMatching(/^[0-2]$/u) as string,
      'mr-origin-offset': expect.stringMatching(/^\d+$/u) as string,
      'mr-attempts': String(policy === 'retryOrDeadLetter' ? TIMES + 1 : 1),
    });
  }
  expect(
    found.toSorted((a, b) => a - b),
    name,
  ).toEqual(wanted);
}
