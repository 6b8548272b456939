/**
 * `millrace/mqtt`: topics of an MQTT broker, as a source and as a sink. Needs the package `mqtt`.
 *
 * @module
 */
export type { MqttConnectOptions, Qos } from './options.ts';
export { mqttSink } from './sink.ts';
export type { MqttSinkOptions } from './sink.ts';
export { mqttSource } from './source.ts';
export type { MqttMessage, MqttSourceOptions } from './source.ts';
export type { Encode } from '../encode.ts';
export type { ConnectorOptions } from '../options.ts';
export type { SinkFunction } from '../sink-function.ts';
