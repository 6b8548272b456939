/**
 * `millrace/tcp`: lines and other frames over TCP, as sources and as a sink.
 *
 * @module
 */
export { tcpClient } from './client.ts';
export type { TcpClientOptions } from './client.ts';
export type { FrameOptions, TextFrameOptions } from './frames.ts';
export { tcpServer } from './server.ts';
export type { TcpServerOptions } from './server.ts';
export { tcpSink } from './sink.ts';
export type { TcpSinkOptions } from './sink.ts';
export type { Encode } from '../encode.ts';
export type { ListenOptions, ServerStream } from '../listen.ts';
export type { ConnectorOptions } from '../options.ts';
export type { ReconnectOptions } from '../reconnect.ts';
export type { SinkFunction } from '../sink-function.ts';
