/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { LiveNode } from '../live-node.ts';
import type { GraphNode } from '../node.ts';

/** How a topic takes part in `through`. Implemented by topics under this key. */
export interface ThroughPort {
  readonly name: string;
  /**
   * A new source of the topic, for what follows.
   *
   * @throws {@link MillraceError} `MR_NOT_IN_AN_APP` if `from` belongs to another app than the topic.
   */
  '~through'(from: GraphNode): GraphNode;
}

/**
 * The source behind `from.through(topic)`, which is a sink to the topic and a source of it. What follows is cut off like what is behind a
 * `groupBy`, but at a topic of the user's that others may send to and read. It may be the topic that the stream came from: then values go
 * round, one commit at a time, until a filter stops them.
 *
 * - *Order*: of the topic's partitions: kept for each key and task that sends.
 * - *Back-pressure*: none; the topic lies between.
 * - *State*: none. Windows behind it go by the event times that they see in the topic, as those of any topic; behind a `groupBy` they know how
 *   far the tasks in front have come.
 * - *Delivery*: each value once: sent with the commit of the task in front, under the key, time and headers of its event.
 *
 * ```ts
 * import { App, unchecked } from 'millrace';
 * import { TestApp } from 'millrace/testing';
 *
 * const app = new App('shop');
 * const lines = app.topic('lines', { value: unchecked<string>() });
 * const words = app.topic('words', { value: unchecked<string>() }); // others read it too
 * const lengths: number[] = [];
 * lines
 *   .stream()
 *   .map((line) => line.split(' '))
 *   .flatten()
 *   .through(words)
 *   .sink((word) => lengths.push(word.length));
 *
 * await using t = await TestApp.start(app);
 * await t.send(lines, 'to be or not');
 * (await t.output(words)).map(({ value }) => value); // => ['to', 'be', 'or', 'not']
 * lengths; // => [2, 2, 2, 3]
 * ```
 *
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no topic; `MR_NOT_IN_AN_APP` for a stream in a process, or of another app.
 */
export function through(topic: unknown, from: GraphNode): GraphNode {
  if (!isThroughPort(topic))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `through was given ${topic === null ? 'null' : typeof topic === 'object' ? 'something that is not a topic' : `a value of type ${typeof topic}`}; give one of app.topic(…)`,
    );
  if (from instanceof LiveNode)
    throw new MillraceError(
      'MR_NOT_IN_AN_APP',
      `through(${topic.name}) on ${from.toString()}, a stream of this process, which cannot go on in the tasks of an app; end it with sink(${topic.name}), and declare what follows on the topic's stream()`,
      { details: { topic: topic.name } },
    );
  return topic['~through'](from);
}

function isThroughPort(topic: unknown): topic is ThroughPort {
  return typeof topic === 'object' && topic !== null && '~through' in topic;
}
