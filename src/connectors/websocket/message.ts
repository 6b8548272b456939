/**
 * What goes over WebSockets. Apart from `library.ts`: the types of this package are there without `ws`.
 *
 * @module
 */

/** One message: a text is a string, bytes are a Buffer. */
export type WebSocketMessage = string | Buffer;
