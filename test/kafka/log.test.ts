/**
 * The part of the broker suite that is about topics, records and producers, on a real broker.
 */
import { test } from 'vitest';

import { logConformance } from '../../src/testing/conformance/broker.ts';
import { emptyLog, kafka } from './support.ts';

logConformance({ name: 'kafka', test: test.skipIf(kafka === null), open: emptyLog });
