/**
 * The inputs of an operator that joins several streams. They come and go while values flow; each has a number for life, by which rows of state know it.
 *
 * @module
 */
import type { Receive } from './operator.ts';

/** One input. */
export interface JoinInput {
  /** From 0, never given twice. */
  readonly slot: number;
  readonly receive: Receive;
  /** Nothing comes from it any more. */
  ended: boolean;
}

/** The inputs of one operator, in order. */
export class JoinInputs {
  readonly list: JoinInput[] = [];
  readonly #receiveOf: (input: JoinInput) => Receive;
  #slots = 0;

  /** @param receiveOf Makes the function that takes the values of an input. */
  constructor(count: number, receiveOf: (input: JoinInput) => Receive) {
    this.#receiveOf = receiveOf;
    for (let i = 0; i < count; i++) this.add();
  }

  get receivers(): Receive[] {
    return this.list.map(({ receive }) => receive);
  }

  add(): JoinInput {
    const slot = this.#slots++;
    const input: JoinInput = {
      slot,
      ended: false,
      receive: (value, event) => receive(value, event),
    };
    const receive = this.#receiveOf(input);
    this.list.push(input);
    return input;
  }

  remove(receive: Receive): JoinInput | undefined {
    const at = this.list.findIndex((input) => input.receive === receive);
    return at < 0 ? undefined : this.list.splice(at, 1)[0];
  }

  /** Notes that nothing comes from it any more. */
  end(receive: Receive): void {
    const input = this.list.find((each) => each.receive === receive);
    if (input !== undefined) input.ended = true;
  }
}
