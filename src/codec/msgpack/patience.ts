/**
 * When not to try: values that are not plain cost the attempt too, and seldom come alone.
 *
 * @module
 */

/** Failures in a row that are put up with. */
const PATIENCE = 4;
/** How many values take the general way without a try then. */
const REST = 16;

/** Whether the fast way is tried. The result is the same either way. */
export class Patience {
  #failures = 0;
  #rest = 0;

  tries(): boolean {
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  /** Tells how a try has ended. */
  tell(succeeded: boolean): void {
    if (succeeded) {
      this.#failures = 0;
    } else if (++this.#failures >= PATIENCE) {
      // One more failure, and it rests again.
      this.#failures = PATIENCE - 1;
      this.#rest = REST;
    }
  }
}
