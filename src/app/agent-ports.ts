/**
 * How agents are sent to directly, by what they read.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Scope } from '../stream/operator.ts';
import type { AgentPort } from './agent.ts';
import type { Asker, SendQuestion } from './ask.ts';
import type { Channel } from './channel.ts';
import type { Topic } from './topic.ts';

type AnyTopic = Topic<unknown, unknown, unknown>;

/** An agent that reads a topic. `yields`: whether it may have results. */
export function topicPort(name: string, topic: AnyTopic, asker: Asker, yields: boolean): AgentPort {
  const send: SendQuestion = (value, key, headers) => topic['~sendApart'](value, { key, headers });
  return {
    cast: async (value, key) => {
      await topic.send(value, { key });
    },
    ask: async (value, options) => {
      if (!yields)
        throw refused(
          name,
          'is an async function and never yields, so it has no answer; write async function* and yield it, or use cast',
        );
      return await asker.ask(name, send, value, options);
    },
    sink: (scope) => topic['~sink'](scope),
  };
}

/** An agent that reads a channel. */
export function channelPort(name: string, channel: Channel<unknown>): AgentPort {
  return {
    cast: async (value, key) => {
      if (key !== undefined && key !== null)
        throw refused(name, 'reads a channel, whose values have no keys; leave the key out');
      await channel.put(value);
    },
    ask: () =>
      Promise.reject(
        refused(name, 'reads a channel, and answers travel with topics only; let it read a topic'),
      ),
    sink: (scope: Scope) => channel['~sink'](scope),
  };
}

/** An agent that reads a stream with operators. */
export function noPort(name: string): AgentPort {
  const refuse = (): MillraceError =>
    refused(
      name,
      'reads a stream with operators, so nothing can be sent to it directly; send to the topic at the head of its source',
    );
  return {
    cast: () => Promise.reject(refuse()),
    ask: () => Promise.reject(refuse()),
    sink: () => {
      throw refuse();
    },
  };
}

function refused(agent: string, why: string): MillraceError {
  return new MillraceError('MR_ARGUMENT_INVALID', `agent ${agent} ${why}`, { details: { agent } });
}
