/** What a simulation was looking for: something that must never be so, and is. */
export class Violation extends Error {
  /** Which invariant it breaks. */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(message);
    this.name = 'Violation';
    this.invariant = invariant;
  }
}
