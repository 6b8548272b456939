/** Recorded cases, replayed; see `cases.ts`. */
import { describe, expect, test } from 'vitest';
import { MillraceError } from '../../../src/core/errors.ts';
import { VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { operatorNamed } from './build.ts';
import { cases } from './cases.ts';
import type { Case, ConstructCase, Outcome, TimedCase, UntimedCase } from './cases.ts';
import { exceptions } from './exceptions.ts';
import { replay, replayTimed } from './replay.ts';

/** What is expected of a case: what was recorded, or what its exception says. */
function expected(recorded: UntimedCase | TimedCase): Outcome {
  const { outputs, counts, errors, awaitMs, probe } = {
    ...recorded,
    ...exceptions[recorded.name]?.instead,
  };
  return {
    outputs,
    ...(counts === undefined ? {} : { counts }),
    ...(errors === undefined || errors.length === 0 ? {} : { errors }),
    ...(awaitMs === undefined ? {} : { awaitMs }),
    ...(probe === undefined ? {} : { probe }),
  };
}

function refusal({ name }: Case): string | undefined {
  const instead = exceptions[name]?.instead;
  return instead !== undefined && 'refused' in instead ? instead.refused : undefined;
}

async function refused(attempt: () => unknown): Promise<string | undefined> {
  try {
    await attempt();
  } catch (error) {
    return error instanceof MillraceError ? error.code : String(error);
  }
  return undefined;
}

function of<C extends Case>(...kinds: Case['kind'][]): [string, C][] {
  return cases.filter(({ kind }) => kinds.includes(kind)).map((each) => [each.name, each as C]);
}

/** Times that were measured, replaced by those of the replay where these are near enough. */
function measured(recorded: TimedCase, wanted: Outcome, happened: Outcome): Outcome {
  const { tolMs = 0 } = exceptions[recorded.name] === undefined ? recorded : {};
  const near = (time: number | null, other: unknown): number | null =>
    time !== null && typeof other === 'number' && Math.abs(time - other) <= tolMs ? other : time;
  return {
    ...wanted,
    outputs: wanted.outputs.map((output, i) => {
      const [atMs, value] = output as [number, unknown];
      const [otherMs] = (happened.outputs[i] ?? []) as [number?];
      return [near(atMs, otherMs), value];
    }),
    ...(wanted.awaitMs === undefined
      ? {}
      : { awaitMs: wanted.awaitMs.map((busyMs, i) => near(busyMs, happened.awaitMs?.[i])) }),
  };
}

describe('values', () => {
  test.each(of<UntimedCase>('stream', 'metadata'))('%s', async (_, recorded) => {
    const code = refusal(recorded);
    if (code !== undefined) {
      expect(await refused(() => replay(recorded))).toBe(code);
      return;
    }
    const { waited, ...happened } = await replay(recorded);
    expect(happened).toEqual(expected(recorded));
    expect(waited, 'all functions are synchronous, so there is no promise').toBe(false);
  });
});

describe('times, and what emit waits for', () => {
  test.each(of<TimedCase>('timed'))('%s', async (_, recorded) => {
    const wanted = expected(recorded);
    const { timers, ...happened } = await replayTimed(recorded, wanted);
    expect(happened).toEqual(measured(recorded, wanted, happened));
    expect(timers, 'timers that are left when it is destroyed').toBe(0);
  });
});

describe('what is refused when it is declared', () => {
  test.each(of<ConstructCase>('construct'))('%s', async (_, { operator, args, error }) => {
    const clock = new VirtualClock();
    const inputs = [new Stream(), new Stream()] as const;
    const declare = (): unknown =>
      operatorNamed(operator)(inputs[0], {
        ...{ args: args.args ?? [], options: args.kwargs ?? {}, inputs, caches: [], clock },
        named: () => inputs[0],
      });
    if (error === null) {
      // Sources that are fed at once and later may be mixed.
      expect(inputs[0].union(Stream.from([1]))).toBeInstanceOf(Stream);
      return;
    }
    expect(await refused(declare)).toBe(
      error.startsWith('TypeError') ? 'MR_ARGUMENT_INVALID' : 'MR_OPTION_INVALID',
    );
  });
});

describe('the list of exceptions', () => {
  const all = new Map(cases.map((each) => [each.name, each]));

  test.each(Object.entries(exceptions))('%s: is needed', (name, { instead }) => {
    const recorded = all.get(name);
    expect(recorded, 'there is such a case').toBeDefined();
    if (recorded === undefined || 'refused' in instead) return;
    expect(recorded).toEqual(expect.not.objectContaining(instead));
  });
});
