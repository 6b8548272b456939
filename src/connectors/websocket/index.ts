/**
 * `millrace/websocket`: messages over WebSockets, as sources and as a sink. Needs the package `ws`.
 *
 * @module
 */
export { websocketClient } from './client.ts';
export type { WebSocketClientOptions } from './client.ts';
export type { WebSocketMessage } from './message.ts';
export { websocketServer } from './server.ts';
export type { WebSocketServerOptions } from './server.ts';
export { websocketSink } from './sink.ts';
export type { WebSocketSinkOptions } from './sink.ts';
export type { Encode } from '../encode.ts';
export type { ListenOptions, ServerStream } from '../listen.ts';
export type { ConnectorOptions } from '../options.ts';
export type { ReconnectOptions } from '../reconnect.ts';
export type { SinkFunction } from '../sink-function.ts';
