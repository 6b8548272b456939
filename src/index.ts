/**
 * millrace: durable stream processing for TypeScript.
 *
 * @module
 */
export { Agent } from './app/agent.ts';
export type { AgentBody, AgentOptions, EachFunction, OwnTopic, Source } from './app/agent.ts';
export { App } from './app/app.ts';
export type { AskOptions } from './app/ask.ts';
export type { StartOptions, TableOptions } from './app/app.ts';
export type { SendOptions } from './app/batch.ts';
export { Channel } from './app/channel.ts';
export type { ChannelOptions } from './app/channel.ts';
export type { AppEvents, Listener, ListenOptions, TopicPartition } from './app/hooks.ts';
export type { JobContext, JobOptions } from './app/jobs.ts';
export type { AppOptions, CommitOptions } from './app/options.ts';
export { TopicProducer } from './app/producer.ts';
export type { ProducerOptions, ProducerSendOptions } from './app/producer.ts';
export type { Running } from './app/running.ts';
export type { RecordMetadata } from './app/sender.ts';
export { Topic } from './app/topic.ts';
export type { SendArgs, TopicOptions } from './app/topic.ts';
export { base64 } from './codec/base64.ts';
export { bytes } from './codec/bytes.ts';
export type { Codec } from './codec/codec.ts';
export { gzip } from './codec/gzip.ts';
export { json } from './codec/json.ts';
export { msgpack } from './codec/msgpack.ts';
export { float64, int32 } from './codec/numbers.ts';
export { pipe } from './codec/pipe.ts';
export { unchecked } from './codec/schema.ts';
export type { Schema, Validate } from './codec/schema.ts';
export { utf8 } from './codec/utf8.ts';
export { systemClock, VirtualClock } from './core/clock.ts';
export type { Clock, Timer } from './core/clock.ts';
export type { Duration } from './core/duration.ts';
export { CoPartitionError, MillraceError } from './core/errors.ts';
export type { ErrorCode, ErrorDomain } from './core/errors.ts';
export type { Logger, LogFields, LogLevel } from './core/log.ts';
export { seededRandom, systemRandom } from './core/random.ts';
export type { Random } from './core/random.ts';
export type { Awaitable, Headers, Key, KeyFields } from './core/types.ts';
export type { AgentContext } from './runtime/agent-instance.ts';
export type { AgentStream, StreamEvent } from './runtime/agent-stream.ts';
export type { CommitMessage, JobMessage, TasksMessage, WorkerMessage } from './runtime/metrics.ts';
export type { EventsOptions } from './runtime/agent-stream.ts';
export type { WorkerStats } from './runtime/worker.ts';
export { deadLetter, retry } from './stream/policy.ts';
export type { OnError, OrElse, RetryOptions } from './stream/policy.ts';
export type { Accepts, Change, SinkTarget, TableKeyedBy, WindowInfo } from './stream/operator.ts';
export { Stream } from './stream/stream.ts';
export type { EventView } from './stream/stream-event.ts';
export { DELETE } from './stream/delete.ts';
export { Table } from './table/table.ts';
export type { ClosedWindow, WindowedTable } from './table/windowed-table.ts';
export type { LateEvent } from './table/late.ts';
export type { QueryOptions, WindowQueryOptions } from './table/query.ts';
export type { WindowOptions } from './table/window-options.ts';
