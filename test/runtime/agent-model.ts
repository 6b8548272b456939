/** What must be left of a script: each event is good or given up, once, and never both or half. */
import { MillraceError } from '../../src/index.ts';
import { givesNumbers, isAsked, sharedKey } from './agent-bench.ts';
import type { Left, Told } from './agent-bench.ts';
import { ALWAYS, TIMES } from './agent-script.ts';
import type { Form, Job, Script } from './agent-script.ts';

const idsOf = (all: readonly { readonly id: number }[]): number[] => all.map(({ id }) => id);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
const ascending = (ids: Iterable<number>): number[] => [...ids].toSorted((a, b) => a - b);
const failsInFrontAt = (form: Form): boolean => givesNumbers(form) && form.guard !== 'none';
const yields = ({ kind }: Form): boolean => kind !== 'take' && kind !== 'manual';

function say(text: string, ...values: readonly unknown[]): string {
  const texts = values.map((value) => JSON.stringify(value instanceof Map ? [...value] : value));
  return [text, ...texts].join(' ');
}

/** Says what is wrong with what is left; nothing when all is well. */
export function faultOf(script: Script, left: Left): string | undefined {
  const failed = faultOfFailure(script, left);
  if (failed !== undefined) return failed;
  const complete = left.failure === undefined;
  return (
    strangers(script, left) ??
    (complete ? (lost(script, left) ?? unanswered(script, left)) : undefined) ??
    (script.form.atLeastOnce ? undefined : inexact(script, left))
  );
}

/** Those that reach the agent, as far as is known. */
function kept({ form, jobs }: Script, left: Left): Job[] {
  return jobs.filter(
    ({ id }) => (form.front !== 'filter' || id % 3 !== 0) && !left.deadInFront.includes(id),
  );
}

function faultOfFailure(script: Script, left: Left): string | undefined {
  const { form, storm, jobs } = script;
  const { failure } = left;
  const { policy } = form;
  const most = policy === 'retry' ? TIMES : policy === 'fail' ? 0 : Infinity;
  const isPoison = ({ fails, failsInFront }: Job): boolean =>
    // The failures of a group are those of all its events.
    (most < Infinity && fails > (form.kind === 'take' ? 0 : most)) ||
    (failsInFrontAt(form) && form.guard === 'retry' && failsInFront > TIMES);
  if (failure === undefined) {
    // One that is processed anew has all its tries again.
    const must = policy === 'fail' && !left.disturbed ? kept(script, left).filter(isPoison) : [];
    return must.length > 0 ? say('did not fail, with', must) : undefined;
  }
  // A worker that is being stopped does not try again.
  const stopped =
    storm.faults > 0 && storm.moves.some((move) => move === 'remove' || move === 'both');
  if (stopped && MillraceError.is(failure) && failure.domain === 'external') return undefined;
  if (!MillraceError.is(failure) || failure.code !== 'MR_PROCESSING_FAILED')
    return `failed with ${String((failure as Error).stack)}`;
  // What is dead in front may, at-least-once, come again and get past it.
  const may = form.atLeastOnce ? jobs : kept(script, left);
  return may.some(isPoison) ? undefined : `failed without a reason: ${failure.message}`;
}

function strangers(script: Script, left: Left): string | undefined {
  const { form, jobs } = script;
  const known = new Set(idsOf(form.atLeastOnce ? jobs : kept(script, left)));
  const all = [left.dead, left.copies, idsOf(left.notes), idsOf(left.results)];
  const strange = [...left.lists.values(), ...all].flat().filter((id) => !known.has(id));
  return strange.length > 0 ? say('came out of nothing:', strange) : undefined;
}

function lost(script: Script, left: Left): string | undefined {
  const { form, jobs } = script;
  const { atLeastOnce, policy } = form;
  const good = new Set([...left.lists.values()].flat());
  const guarding = failsInFrontAt(form);
  const told = [idsOf(left.notes), ...(yields(form) ? [idsOf(left.results)] : [])];
  const isSkipping = policy.endsWith('skip');
  for (const { id, failsInFront } of jobs) {
    const isDead = left.deadInFront.includes(id);
    if (isDead && (failsInFront === 0 || !guarding)) return `${id} is dead in front, for no reason`;
    if (!isDead && guarding && failsInFront === ALWAYS) return `${id} has got past the front`;
  }
  for (const { id, fails } of kept(script, left)) {
    const isGood = good.has(id);
    const isDead = left.dead.includes(id);
    if (!isGood && !isDead && !isSkipping) return `${id} is lost`;
    if (policy.endsWith('deadLetter') && fails === ALWAYS && !isDead) return `${id} is not dead`;
    if (!isGood || isDead || (atLeastOnce && isSkipping)) continue;
    if (told.some((ids) => !ids.includes(id))) return `not all has come of ${id}`;
  }
  if (atLeastOnce) return undefined;
  for (const { id, fails } of kept(script, left)) {
    // A group fails with any of its events.
    if (fails === 0 && !good.has(id) && form.kind !== 'take')
      return `${id} is given up for no reason`;
    if (fails === ALWAYS && good.has(id)) return `${id} failed and has changed rows`;
  }
  return undefined;
}

function unanswered(script: Script, left: Left): string | undefined {
  const { form } = script;
  const good = new Set([...left.lists.values()].flat());
  for (const job of kept(script, left).filter((each) => isAsked(form, each))) {
    const { id } = job;
    const answer = left.answers.get(id);
    if (answer === undefined) return `nobody has answered ${id}`;
    // The answer of a group is that of its last event.
    if (form.kind === 'take') continue;
    if (!(answer instanceof Error)) {
      if ((answer as Told).id !== id || !good.has(id)) return say(`${id} was answered`, answer);
    } else if (!MillraceError.is(answer) || answer.code !== 'MR_PROCESSING_FAILED')
      return `${id} was answered with ${String(answer)}`;
    else if (good.has(id) && !form.atLeastOnce)
      return `${id} is good and was answered with an error`;
  }
  return undefined;
}

function inexact(script: Script, left: Left): string | undefined {
  return (
    twice(left) ?? unequal(script, left) ?? misplaced(script, left) ?? misnumbered(script, left)
  );
}

function twice(left: Left): string | undefined {
  const lists = {
    lists: [...left.lists.values()].flat(),
    dead: left.dead,
    'dead in front': left.deadInFront,
    notes: idsOf(left.notes),
    results: idsOf(left.results),
    copies: left.copies,
  };
  for (const [name, ids] of Object.entries(lists))
    if (new Set(ids).size !== ids.length) return say(`twice in ${name}`, ids);
  return undefined;
}

/** Everything has changed with everything else, and of the events that were given up nothing is left. */
function unequal(script: Script, left: Left): string | undefined {
  const { form } = script;
  const good = ascending([...left.lists.values()].flat());
  const others = {
    notes: idsOf(left.notes),
    'own rows': [...left.own.values()].flat(),
    ...(yields(form) ? { results: idsOf(left.results) } : {}),
    ...(form.kind === 'take' ? {} : { copies: left.copies }),
  };
  for (const [name, ids] of Object.entries(others))
    if (!same(ascending(ids), good)) return say(`${name} differ from the lists`, ids, good);
  for (let partition = 0; partition < form.partitions; partition++) {
    const key = sharedKey(partition, form.partitions);
    const count = left.lists.get(key)?.length ?? 0;
    for (const [name, table] of Object.entries({ sums: left.sums, later: left.later }))
      if ((table.get(key) ?? 0) !== count) return say(`${name} of ${key}`, table, left.lists);
  }
  const both = left.dead.filter((id) => good.includes(id));
  if (both.length > 0) return say('dead, and have changed rows:', both);
  if (left.stats === undefined) return undefined;
  const { skipped, deadLettered } = left.stats;
  const dead = left.dead.length;
  if (deadLettered !== dead + left.deadInFront.length) return say('dead letters', deadLettered);
  if (skipped + dead + good.length !== kept(script, left).length) return say('skips', skipped);
  return undefined;
}

/** What an event was told and has seen is true in the end, and the events of a key are in their order. */
function misplaced({ form, jobs }: Script, left: Left): string | undefined {
  const listOf = (id: number): readonly number[] =>
    [...left.lists.values()].find((ids) => ids.includes(id)) ?? [];
  for (const told of [...left.notes, ...left.results])
    if (listOf(told.id).indexOf(told.id) + 1 !== told.place)
      return say('not its place', told, left.lists);
  for (const { id, ids } of left.looks)
    if (!same(listOf(id).slice(0, ids.length), ids))
      return say(`${id} has seen what is not`, ids, left.lists);
  for (const [key, row] of left.own) {
    const ofKey = (ids: readonly number[]): number[] =>
      ids.filter((id) => jobs[id]?.key === key && row.includes(id));
    const sent = ofKey(left.inbox);
    if (!same(row, sent)) return say(`order of ${key}`, row, sent);
    if (!same(ofKey(idsOf(left.notes)), sent)) return say(`order of notes of ${key}`, left.notes);
    if (yields(form) && !same(ofKey(idsOf(left.results)), sent))
      return say(`order of results of ${key}`, left.results);
  }
  return undefined;
}

/** What stands in front has seen each event once, in its order, and so has the agent beside. */
function misnumbered(script: Script, left: Left): string | undefined {
  const { form, jobs } = script;
  if (!givesNumbers(form)) return undefined;
  const tasks = [...left.lists.values()].map((ids) =>
    left.notes.filter(({ id }) => ids.includes(id)),
  );
  for (const notes of tasks)
    if (new Set(notes.map(({ number }) => number)).size !== notes.length)
      return say('numbers given twice', notes);
  const passed = kept(script, left);
  for (const key of new Set(passed.map((each) => each.key))) {
    const sent = left.inbox.filter(
      (id) => jobs[id]?.key === key && passed.some((each) => each.id === id),
    );
    const notes = left.notes.filter(({ id }) => sent.includes(id));
    const order = idsOf(notes.toSorted((a, b) => (a.number ?? 0) - (b.number ?? 0)));
    if (
      !same(
        order,
        sent.filter((id) => order.includes(id)),
      )
    )
      return say(`numbers of ${key}`, notes);
    if (left.failure !== undefined) continue;
    if (left.counted.get(key) !== sent.length) return say('counted in front', left.counted);
    if (form.second && !same(left.second.get(key), sent))
      return say('the second agent', left.second);
  }
  return undefined;
}
