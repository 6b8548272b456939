/**
 * Replays recorded cases.
 *
 * @module
 */
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import type { Collector } from '../../../src/stream/stream.ts';
import { build } from './build.ts';
import type { BuiltGraph, World } from './build.ts';
import type { Outcome, TimedCase, UntimedCase } from './cases.ts';

/** How long a timed case goes on behind the last thing that was recorded. */
const AFTER_MS = 50;

/** What happened, and whether any `emit` returned a promise. */
export interface Replayed extends Outcome {
  readonly waited: boolean;
}

export async function replay(recorded: UntimedCase): Promise<Replayed> {
  const { graph, inputs } = recorded;
  const sinks = recorded.sinks ?? sinksOf(recorded);
  const outputs: unknown[] = [];
  const world: World = {
    clock: new VirtualClock(),
    arrived: (sink, value) => {
      outputs.push(recorded.sinks === undefined ? value : [sinks.indexOf(sink), value]);
    },
  };
  const built = build(graph, sinks, world);
  const counts: number[] = [];
  const errors: number[] = [];
  let waited = false;
  for (const [i, input] of inputs.entries()) {
    try {
      const pending = apply(built, input);
      if (pending !== undefined) {
        waited = true;
        await pending;
      }
    } catch {
      errors.push(i);
    }
    counts.push(outputs.length);
  }
  const probe =
    built.caches.length > 0
      ? [...(built.caches[0] ?? [])]
      : built.sources[0]?.['~node'].children.length;
  const outcome = {
    outputs,
    waited,
    ...(recorded.counts === undefined ? {} : { counts }),
    ...(recorded.probe === undefined ? {} : { probe }),
    ...(errors.length > 0 ? { errors } : {}),
  };
  for (const source of built.sources) source.destroy();
  return outcome;
}

/** @param wanted What is expected to happen; it goes on until that and what was recorded is over. */
export async function replayTimed(
  recorded: TimedCase,
  wanted: Outcome,
): Promise<Outcome & { timers: number }> {
  const clock = new VirtualClock();
  const outputs: unknown[] = [];
  let busy = 0;
  const arrived: World['arrived'] = (_, value, { ms: busyMs = 0, label, throwsAt }) => {
    outputs.push([clock.monotonic(), label === undefined ? value : [label, value]]);
    if (throwsAt !== undefined && value === throwsAt)
      throw new Error(`a sink threw at ${String(value)}`);
    if (busyMs === 0) return undefined;
    busy += 1;
    return sleep(clock, busyMs).then(() => void (busy -= 1));
  };
  const { sources } = build(recorded.graph, sinksOf(recorded), { clock, arrived });
  const awaitMs: (number | null)[] = recorded.inputs.map(() => null);
  const errors: number[] = [];
  const emit = async (i: number): Promise<void> => {
    const [, source, value] = recorded.inputs[i] as TimedCase['inputs'][number];
    const beganMs = clock.monotonic();
    try {
      await sources[source]?.emit(value);
    } catch {
      errors.push(i);
    }
    awaitMs[i] = clock.monotonic() - beganMs;
  };
  const emitAll = async (): Promise<void> => {
    for (const [i, [atMs]] of recorded.inputs.entries()) {
      if (atMs > clock.monotonic()) await sleep(clock, atMs - clock.monotonic());
      const emitted = emit(i);
      if (recorded.concurrent !== true) await emitted;
    }
  };
  void emitAll();
  await clock.advance(lastMs(recorded.inputs, wanted) + AFTER_MS);
  for (const source of sources) source.destroy();
  const timers = clock.timers - busy;
  return {
    outputs,
    timers,
    ...(recorded.awaitMs === undefined ? {} : { awaitMs }),
    ...(errors.length > 0 ? { errors } : {}),
  };
}

/** Nodes that are given a sink: the last one, if the graph has none. */
function sinksOf({ graph }: UntimedCase | TimedCase): string[] {
  const last = graph.at(-1);
  return graph.some(([, operator]) => operator === 'sink') || last === undefined ? [] : [last[0]];
}

function apply(
  { sources, nodes }: BuiltGraph,
  [what, ...args]: UntimedCase['inputs'][number],
): void | Promise<void> {
  if (typeof what === 'number') return sources[what]?.emit(args[0]);
  const [from, to] = args.map((name) => nodes.get(String(name)));
  if (from === undefined) throw new Error(`no node ${String(args[0])}`);
  if (what === '@flush') return (from as Collector<unknown, unknown>).flush();
  if (what === '@destroy') return from.destroy();
  if (to === undefined) throw new Error(`no node ${String(args[1])}`);
  if (what === '@connect') from.connect(to);
  else from.disconnect(to);
}

/** When the last thing of a case happens. */
function lastMs(inputs: TimedCase['inputs'], { outputs, awaitMs = [] }: Outcome): number {
  let last = Math.max(0, ...outputs.map((output) => (output as [number])[0]));
  let nowMs = 0;
  for (const [i, [atMs]] of inputs.entries()) {
    nowMs = Math.max(nowMs, atMs) + (awaitMs[i] ?? 0);
    last = Math.max(last, nowMs);
  }
  return last;
}
