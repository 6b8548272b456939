/**
 * A worker in a process of its own, for cases with several. It says `ready`, and when it is told `start`, `running`; then `tasks` (those it has,
 * whenever that changes) and `commit` (of which task); when it is told `mark` or `settle`, `mark` (events so far) and `settled` (the same, when
 * everything stored is processed).
 *
 * @module
 */
import { subscribe } from 'node:diagnostics_channel';

import type { App, CommitMessage, Running, TasksMessage } from 'millrace';

import { listen, say } from './crew.ts';
import type { Figures } from './figures.ts';
import { watchMemory } from './memory.ts';

/** Runs until it is told `end`. `commits`: whether to tell of each commit. */
export async function beMember(app: App, { commits }: { commits: boolean }): Promise<Figures> {
  const tasks = new Set<string>();
  subscribe('millrace:tasks', (message) => {
    const { gained, released, lost } = message as TasksMessage;
    for (const task of [...released, ...lost]) tasks.delete(task);
    for (const task of gained) tasks.add(task);
    say('tasks', { tasks: [...tasks] });
  });
  if (commits)
    subscribe('millrace:commit', (message) => {
      const { task, events } = message as CommitMessage;
      if (events > 0) say('commit', { tasks: [task], count: events });
    });
  const started = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  let running: Running | undefined;
  const said = (kind: string): void => say(kind, { count: running?.stats.events });
  listen((word) => {
    if (word === 'start') started.resolve();
    if (word === 'end') ended.resolve();
    if (word === 'mark') said(word);
    if (word === 'settle') running?.settled().then(() => said('settled'), ended.reject);
  });
  await app['~parts']().broker();
  say('ready');
  await started.promise;
  const peak = watchMemory();
  running = await app.start();
  running.done.catch(ended.reject);
  say('running');
  await ended.promise;
  await running.stop();
  await app.close();
  return { megabytes: peak() };
}
