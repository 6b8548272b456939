/**
 * The contract of links: messages between the broker objects of one directory, in whichever processes they are. They make waiting short and
 * death known at once. They carry no truth: what is so stands in the store, and everything still works, only later, when no message arrives.
 *
 * Not in it: what the messages mean (`messages.ts`, `peers.ts`), who there is (the rows of the store), trying again.
 *
 * Fault model: a message arrives whole and in order, or its link ends. A peer may be frozen for any time while its links stay open, unless it
 * is frozen in the middle of a message, or between connecting and its first one: then they may end. A peer
 * may send anything; whoever is not the same user of the machine must not be able to connect.
 *
 * @module
 */

/** Longest message, in bytes. A link over which a longer one comes is dropped. */
export const MAX_MESSAGE_BYTES: number = 4 * 1024 * 1024 + 4096;

/** One end of an open link. It keeps no process alive. */
export interface Link {
  /**
   * Sends one message of at most {@link MAX_MESSAGE_BYTES}. False when it was not taken: the link is closed, or more than 16 MiB wait to
   * be sent because the peer does not read.
   */
  send(message: Uint8Array): boolean;
  /** Ends the link for both ends. Idempotent. */
  close(): void;
}

/** What one end does with what comes. */
export interface LinkEnd {
  /** A message; the bytes are the receiver's. If it throws, the link is dropped. */
  received(message: Buffer): void;
  /** The link is closed, by whoever. Called once; nothing is received afterwards. */
  closed(): void;
}

/** Makes the user of one end of a link. */
export type Accept = (link: Link) => LinkEnd;

/** The links of one broker object. */
export interface Links {
  /**
   * Begins to listen and resolves to the address, which nobody else ever has. Called again, it listens anew: the address before is given up,
   * links that were made through it stay.
   *
   * @throws when it is impossible here, for whatever reason.
   */
  listen(accept: Accept): Promise<string>;
  /**
   * Connects to an address. Resolves to `undefined` only when it is certain that nobody listens there or ever will again.
   *
   * @throws when it is not certain.
   */
  connect(address: string, accept: Accept): Promise<Link | undefined>;
  /** Closes all links and stops listening. Idempotent. */
  close(): Promise<void>;
}
