/**
 * The contract of frames: a batch of records as one row. Placeholder of the layout; see below.
 *
 * @module
 */
export interface Frame {
  readonly bytes: Uint8Array;
}
export interface FrameView {
  readonly count: number;
}
