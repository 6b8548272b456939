/**
 * Edges that are added later, cycles among them.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { Feedback } from './feedback.ts';
import { attach, behind, detach, shareLooseEnds, startFeeds } from './live-node.ts';
import type { LiveNode } from './live-node.ts';
import type { Receive } from './operator.ts';

/**
 * Makes `from` one more parent of `to`, the last one in both directions. Does nothing when it is one already.
 *
 * @throws {@link MillraceError} `MR_CLOSED` when `to` was closed; `MR_ARGUMENT_INVALID` when it has several inputs for different things: which one
 * would be meant?
 */
export function connect(from: LiveNode, to: LiveNode): void {
  if (to.parents.includes(from)) return;
  const { operator } = to;
  if (operator.addInput === undefined) onlyInput(to);
  if (!to.accepting)
    throw new MillraceError(
      'MR_CLOSED',
      `stream ${to.toString()} was closed, so nothing can be connected to it`,
      { details: { downstream: to.name ?? to.kind } },
    );
  const port = operator.addInput?.() ?? onlyInput(to);
  const after = behind(to);
  if (after.has(from)) {
    const feedback = new Feedback(port);
    attach(from, to, port, feedback.receive);
    shareLooseEnds(to, feedback);
  } else {
    attach(from, to, port);
    shareLooseEnds(to);
  }
  for (const node of after) if (node.role.role === 'sink') startFeeds(node);
}

/** Takes `from` off `to`, which goes on without it. Does nothing if it is no parent. */
export function disconnect(from: LiveNode, to: LiveNode): void {
  for (const port of detach(from, to)) to.operator.removeInput?.(port);
}

/** The input of an operator that takes all its values in one place. */
function onlyInput(to: LiveNode): Receive {
  const [input, another] = to.operator.inputs;
  if (input !== undefined && another === undefined) return input;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `${to.toString()} has ${to.operator.inputs.length} inputs, so nothing can be connected to it; put a new Stream() in front of the input that is meant, and connect to that`,
    { details: { downstream: to.name ?? to.kind } },
  );
}
