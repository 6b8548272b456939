/**
 * Where producers with an id stand, and what they may append: pure.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { ProducerAppend, ProducerState } from './broker.ts';

/** The state of a producer whose id is opened, again or for the first time. */
export function openedAgain(there: ProducerState | undefined): ProducerState {
  return {
    epoch: (there?.epoch ?? 0) + 1,
    sequence: there?.sequence ?? 0,
    position: there?.position,
  };
}

/**
 * Whether the append is to be done: false when its sequence was already acknowledged.
 *
 * @throws `MR_FENCED` for an old epoch, `MR_ARGUMENT_INVALID` for an epoch that was never given or a gap in the sequence.
 */
export function admit(there: ProducerState | undefined, append: ProducerAppend): boolean {
  const { id, epoch, sequence } = append;
  if (there === undefined || epoch > there.epoch)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `producer ${id} was never opened with epoch ${String(epoch)}; call openProducer and use what it returns`,
      { details: { producer: id, epoch } },
    );
  if (epoch !== there.epoch)
    throw new MillraceError(
      'MR_FENCED',
      `producer ${id} has been opened again: this one has epoch ${String(epoch)}, the current epoch is ${there.epoch}; let only one run, or give them different ids`,
      {
        domain: 'external',
        details: { producer: id, epoch, currentEpoch: there.epoch },
      },
    );
  if (sequence > there.sequence + 1)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `producer ${id} appends number ${sequence}, but number ${there.sequence + 1} has not arrived; append in order, and stop at the first append that fails`,
      { details: { producer: id, sequence, acknowledged: there.sequence } },
    );
  return sequence > there.sequence;
}
