/**
 * For tests of apps and of drivers: an app under test, time that a test moves, chance that a seed replays, stores and brokers that fail as
 * planned, and the suites that every implementation of a contract passes.
 *
 * @module
 */
export { VirtualClock } from '../core/clock.ts';
export { seededRandom } from '../core/random.ts';
export { brokerConformance, logConformance } from './conformance/broker.ts';
export type {
  BrokerConformanceOptions,
  LogConformanceOptions,
  OpenedBroker,
  OpenedLog,
} from './conformance/broker.ts';
export { KV_TABLES, kvConformance } from './conformance/kv.ts';
export type { KvConformanceOptions, OpenedKv } from './conformance/kv.ts';
export { seededFaults } from './faults.ts';
export type { Fault, FaultPlan, FaultyCall, SeededFaultsOptions } from './faults.ts';
export { faultyBroker } from './faulty-broker.ts';
export type { BrokerCall, BrokerCallName, FaultyBrokerOptions } from './faulty-broker.ts';
export { faultyKv } from './faulty-kv.ts';
export type { FaultyKvOptions, KvCall } from './faulty-kv.ts';
export type { TestRecord } from './outputs.ts';
export type { TableView, WindowedTableView } from './table-view.ts';
export { TestApp } from './test-app.ts';
export type { TestAppOptions } from './test-app.ts';
export type { TestCall, TestFault } from './test-workers.ts';
