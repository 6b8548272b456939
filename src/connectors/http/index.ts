/**
 * `millrace/http`: bodies of requests and events of servers as sources, and posting as a sink.
 *
 * @module
 */
export { httpPost } from './post.ts';
export type { HttpPostOptions } from './post.ts';
export type { RequestHeaders } from './request.ts';
export { httpServer } from './server.ts';
export type { HttpServerOptions, RequestHead } from './server.ts';
export { serverSentEvents } from './server-sent-events.ts';
export type { ServerSentEvent, ServerSentEventsOptions } from './server-sent-events.ts';
export type { Encode } from '../encode.ts';
export type { ListenOptions, ServerStream } from '../listen.ts';
export type { ConnectorOptions } from '../options.ts';
export type { ReconnectOptions } from '../reconnect.ts';
