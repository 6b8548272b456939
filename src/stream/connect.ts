/**
 * Edges that are added later, cycles among them.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { Feedback } from './feedback.ts';
import { attach, behind, shareLooseEnds, startFeeds } from './live-node.ts';
import type { LiveNode } from './live-node.ts';

/**
 * Makes `from` one more parent of `to`, the last one in both directions. Does nothing when it is one already.
 *
 * @throws {@link MillraceError} `MR_CLOSED` when `to` was closed; `MR_ARGUMENT_INVALID` when it has several inputs: which one would be meant?
 */
export function connect(from: LiveNode, to: LiveNode): void {
  if (to.parents.includes(from)) return;
  const [input, another] = to.operator.inputs;
  if (input === undefined || another !== undefined)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${to.toString()} has ${to.operator.inputs.length} inputs, so nothing can be connected to it; put a new Stream() in front of the input that is meant, and connect to that`,
      { details: { downstream: to.name ?? to.kind } },
    );
  if (!to.accepting)
    throw new MillraceError(
      'MR_CLOSED',
      `stream ${to.toString()} was closed, so nothing can be connected to it`,
      { details: { downstream: to.name ?? to.kind } },
    );
  const after = behind(to);
  if (after.has(from)) {
    const feedback = new Feedback(input);
    attach(from, to, feedback.receive);
    shareLooseEnds(to, feedback);
  } else {
    attach(from, to, input);
    shareLooseEnds(to);
  }
  for (const node of after) if (node.role.role === 'sink') startFeeds(node);
}
