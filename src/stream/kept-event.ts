/**
 * The events of values that operators of a process hold back: copies, since the caller uses its cell for the next value, and their form in snapshots.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import { localKey } from './local-key.ts';

/** A copy of an event to keep. */
export function keptEvent(event: EventCell | null): EventCell | null {
  return event === null ? null : { ...event };
}

/** The readable part of an event, as plain data. */
export interface SavedEvent {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  /** Missing: the event has none. */
  readonly key?: unknown;
  readonly headers: EventCell['headers'];
}

/** An event as plain data. */
export function savedEvent(event: EventCell | null): SavedEvent | null {
  if (event === null) return null;
  const { topic, partition, offset, timestamp, key, headers } = event;
  return {
    topic,
    partition,
    offset,
    timestamp,
    headers,
    ...(key === null ? {} : { key: key.key }),
  };
}

/** The event that {@link savedEvent} was given. */
export function loadedEvent(saved: SavedEvent | null): EventCell | null {
  if (saved === null) return null;
  const { key, ...rest } = saved;
  return {
    ...rest,
    key: key === undefined ? null : localKey(key),
    raw: null,
    effects: null,
    flight: null,
  };
}
