/**
 * Mistakes that the simulation must find: each changes a few words of the protocol, in a process of its own, as its modules are loaded. The code
 * that ships knows nothing of them.
 *
 * @module
 */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A replacement in one file. The text must be there, once. */
export interface Edit {
  /** From the root of the project. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** What is wrong with it. */
  readonly mistake: string;
  readonly edits: readonly Edit[];
}

const membership = 'src/broker/log/membership.ts';
const task = 'src/runtime/task.ts';
const log = 'src/broker/log/log.ts';
const checkpoint = 'src/state/checkpoint.ts';
const roster = 'src/broker/groups/roster.ts';
const retention = 'src/broker/log/retention.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'no-fencing',
    mistake: 'a commit does not check owner and epoch',
    edits: [
      {
        file: membership,
        find: 'if (row === undefined || there?.owner !== this.member || there.epoch !== commit.epoch)',
        replace: 'if (row === undefined || there === undefined)',
      },
    ],
  },
  {
    name: 'positions-before-state',
    mistake: 'a commit stores positions first and changed rows afterwards',
    edits: [
      {
        file: task,
        find: '      outputs,\n    });\n',
        replace:
          '      outputs: outputs.filter(({ topic }) => topic !== this.#changelog),\n    });\n    const rows = outputs.filter(({ topic }) => topic === this.#changelog);\n    if (rows.length > 0) placed.push(...(await this.#options.broker.append(rows)));\n',
      },
    ],
  },
  {
    name: 'outputs-before-positions',
    mistake: 'a commit appends outputs in one transaction and stores positions in the next',
    edits: [
      {
        file: membership,
        find: 'const done = await this.#transact((txn) => this.#commitStep(txn, commit, outputs));',
        replace:
          'const placed = await this.#transact((txn) => appendFrames(txn, outputs, this.#context.clock));\nconst done = await this.#transact((txn) => ({ ...this.#commitStep(txn, commit, []), placed }));',
      },
    ],
  },
  {
    name: 'retry-unknown-outcome',
    mistake: 'a commit whose outcome is unknown is sent again',
    edits: [
      {
        file: membership,
        find: "if (MillraceError.is(error) && error.code === 'MR_FENCED') this.#happened();",
        replace:
          "if (MillraceError.is(error) && error.code === 'MR_IO') return (await this.#transact((txn) => this.#commitStep(txn, commit, outputs))).placed;\nif (MillraceError.is(error) && error.code === 'MR_FENCED') this.#happened();",
      },
    ],
  },
  {
    name: 'state-kept-after-abort',
    mistake: 'a task that goes back to its last commit keeps the rows in memory',
    edits: [
      {
        file: task,
        find: 'const { state, entries } = await this.#checkpoints.recover();',
        replace:
          'await this.#checkpoints.end();\nconst { state, entries } = this.kept === undefined ? await this.#checkpoints.recover() : { state: this.kept, entries: 0 };',
      },
      {
        file: task,
        find: '    const life = this.#life;\n    this.#life = undefined;\n',
        replace:
          '    const life = this.#life;\n    this.kept = life?.state ?? this.kept;\n    this.#life = undefined;\n',
      },
    ],
  },
  {
    name: 'ack-before-fsync',
    mistake: 'a transaction is acknowledged before it is durable',
    edits: [
      {
        file: 'simulation/lib/disk.ts',
        find: '          by.die();\n          return;',
        replace:
          "          resolve();\n          schedule.after(5, undefined, 'sync', () => by.die());\n          return;",
      },
    ],
  },
  {
    name: 'commit-past-taken-back',
    mistake: 'positions move over an event that was taken back from its queue',
    edits: [
      {
        file: 'src/runtime/taken.ts',
        find: "if (first === undefined || first.state === 'open' || first.state === 'back') break;",
        replace: "if (first === undefined || first.state === 'open') break;",
      },
    ],
  },
  {
    name: 'lost-done-list',
    mistake: 'a commit does not name the events that are finished behind its position',
    edits: [{ file: task, find: 'done: this.#done(life),', replace: 'done: {},' }],
  },
  {
    name: 'no-undo',
    mistake: 'what a failed event has changed stays',
    edits: [
      {
        file: 'src/core/effects.ts',
        find: 'if (!(this.#undos[i] as Undo).undo()) done = false;',
        replace: 'void 0;',
      },
    ],
  },
  {
    name: 'failed-sends-stay',
    mistake: 'what a failed event has sent is sent',
    edits: [
      {
        file: 'src/core/effects.ts',
        find: 'this.#held.length = mark?.held ?? 0;',
        replace: 'void 0;',
      },
    ],
  },
  {
    name: 'window-closed-twice',
    mistake: 'how far windows are closed is not saved with a commit',
    edits: [{ file: task, find: 'closed: life.windows.save(),', replace: 'closed: {},' }],
  },
  {
    name: 'stream-time-by-maximum',
    mistake: 'stream time behind a repartition is that of the fastest upstream task',
    edits: [
      {
        file: 'src/window/stream-time.ts',
        find: 'const reached = least === Infinity ? greatest : least;\n    if (reached > now) now = reached;',
        replace: 'const reached = greatest;\n    if (reached > now) now = reached;',
      },
    ],
  },
  {
    name: 'heard-too-early',
    mistake: 'what a frame says of its writer is heard before its records',
    edits: [
      {
        file: 'src/runtime/input.ts',
        find: '    this.#frame = frame;\n  }',
        replace:
          '    this.#frame = frame;\n    if (frame.upstream >= 0) this.time.heard(frame.upstream, frame.streamTime, frame.idle);\n  }',
      },
    ],
  },
  {
    name: 'input-times-not-saved',
    mistake: 'a commit does not store what is known of the time of upstream tasks',
    edits: [
      {
        file: task,
        find: 'inputs: life.time.inputs.map((input) => input.save()),',
        replace: 'inputs: [],',
      },
    ],
  },
  {
    name: 'checkpoint-ahead',
    mistake: 'a checkpoint says that it holds one entry more than it does',
    edits: [
      {
        file: checkpoint,
        find: 'apply(batches, reader, stateId, changesOf(frames), last.end)',
        replace: 'apply(batches, reader, stateId, changesOf(frames.slice(0, -1)), last.end)',
      },
    ],
  },
  {
    name: 'checkpoint-by-anybody',
    mistake: 'a checkpoint does not look whether somebody else has written since',
    edits: [
      {
        file: checkpoint,
        find: 'if (now.writes !== before.writes || now.position !== before.position) return false;',
        replace: '',
      },
    ],
  },
  {
    name: 'changelog-truncated-early',
    mistake: 'the changelog is deleted before the checkpoint is written',
    edits: [
      {
        file: checkpoint,
        find: '  const batches = new Batches(broker, stateId, head);\n',
        replace:
          '  await broker.truncate(changelog, partition, last.end);\n  const batches = new Batches(broker, stateId, head);\n',
      },
    ],
  },
  {
    name: 'dedup-after-append',
    mistake: 'the sequence of a producer is stored in a transaction after that of the append',
    edits: [
      {
        file: log,
        find: '      if (producer !== undefined) advanceProducer(txn, producer);\n',
        replace: '',
      },
      {
        file: log,
        find: '    this.#members.appended();\n    return placed;',
        replace:
          '    if (producer !== undefined) await kv.transact((txn) => advanceProducer(txn, producer));\n    this.#members.appended();\n    return placed;',
      },
    ],
  },
  {
    name: 'producer-not-fenced',
    mistake: 'a producer that was opened again elsewhere may go on',
    edits: [
      {
        file: 'src/broker/producer-state.ts',
        find: 'if (epoch !== there.epoch)',
        replace: 'if (epoch > there.epoch)',
      },
    ],
  },
  {
    name: 'retention-past-position',
    mistake: 'a repartition topic is deleted behind the last record, whoever has read it',
    edits: [
      {
        file: retention,
        find: '({ end }) => end <= floor;',
        replace: '() => true;',
      },
    ],
  },
  {
    name: 'retention-by-the-fastest',
    mistake: 'a repartition topic is deleted below the greatest position of its readers',
    edits: [
      {
        file: retention,
        find: 'const position = positions.find((at) => at.topic === topic && at.partition === partition);',
        replace: 'const position = positions.find((at) => at.topic === topic);',
      },
      {
        file: retention,
        find: 'least = Math.min(least ?? Infinity, position.offset);',
        replace: 'least = Math.max(least ?? 0, position.offset);',
      },
    ],
  },
  {
    name: 'two-owners',
    mistake: 'a task is taken from an owner that lives',
    edits: [
      {
        file: roster,
        find: 'if (task.target === self.member && task.owner === null)',
        replace: 'if (task.target === self.member && task.owner !== self.member)',
      },
    ],
  },
  {
    name: 'epoch-stays',
    mistake: 'a new owner gets the epoch of the one before',
    edits: [{ file: roster, find: 'epoch: task.epoch + 1', replace: 'epoch: task.epoch' }],
  },
  {
    name: 'dead-keep-their-tasks',
    mistake: 'the tasks of members that are gone are not freed',
    edits: [
      {
        file: roster,
        find: 'if (task.owner === null || members.has(task.owner)) continue;',
        replace: 'continue;',
      },
    ],
  },
  {
    name: 'sends-not-awaited',
    mistake: 'at-least-once, positions are stored before what was sent in front of them',
    edits: [
      {
        file: task,
        find: '      await this.#sending;\n      // Whoever looks',
        replace: '      // Whoever looks',
      },
    ],
  },
  {
    name: 'failed-sends-forgotten',
    mistake: 'at-least-once, a task goes on when what it has sent could not be stored',
    edits: [
      {
        file: task,
        find: 'if (this.#life !== life || this.#unsent === life)\n        throw this.#failure ?? life.abort.signal.reason;',
        replace: 'this.#failure = undefined;',
      },
    ],
  },
  {
    name: 'leader-to-the-end',
    mistake: 'the leader goes on while it gives its task back, and afterwards',
    edits: [
      {
        file: 'src/app/leader.ts',
        find: 'if ([revoked, released, lost].some((ids) => ids.includes(this.#task as string))) this.#end();',
        replace: 'if (lost.includes(this.#task)) this.#end();',
      },
    ],
  },
  {
    name: 'ask-without-end',
    mistake: 'a question without an answer is waited for beyond its time',
    edits: [
      {
        file: 'src/app/ask.ts',
        find: '() => fail(this.#tooLate(agent, timeoutMs))',
        replace: '() => undefined',
      },
    ],
  },
  {
    name: 'retention-too-early',
    mistake: 'records are deleted as soon as they are older than a round of housekeeping',
    edits: [
      {
        file: retention,
        find: '-Infinity : now - keep.retentionMs;',
        replace: '-Infinity : now;',
      },
    ],
  },
  {
    name: 'compaction-of-the-last',
    mistake: 'compaction drops the last record of a key as well',
    edits: [
      {
        file: 'src/broker/log/compaction.ts',
        find: 'if ((last.get(name) ?? -1) > view.baseOffset + i) return false;',
        replace: 'if ((last.get(name) ?? -1) >= view.baseOffset + i) return false;',
      },
    ],
  },
];

/** Has the modules that are loaded from now on come with a mistake. @throws when there is no such mutant. */
export function install(name: string): void {
  const mutant = mutants.find((each) => each.name === name);
  if (mutant === undefined)
    throw new Error(
      `there is no mutant ${name}; there are ${mutants.map((each) => each.name).join(', ')}`,
    );
  const root = new URL('../../', import.meta.url).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const edits = mutant.edits.filter(({ file }) => url === root + file);
      if (edits.length === 0 || loaded.source === undefined || loaded.source === null)
        return loaded;
      const text =
        typeof loaded.source === 'string'
          ? loaded.source
          : Buffer.from(loaded.source as Uint8Array).toString();
      return {
        ...loaded,
        source: edits.reduce((source, edit) => mutate(source, edit, fileURLToPath(url)), text),
      };
    },
  });
}

/** @throws when the text is not there, or more than once: then the mutant has to follow the code. */
export function mutate(source: string, { find, replace }: Edit, where: string): string {
  const parts = source.split(find);
  if (parts.length === 2) return parts.join(replace);
  throw new Error(
    `${JSON.stringify(find)} stands ${parts.length - 1} times in ${where}; mend the mutant that looks for it`,
  );
}
