/**
 * Producers with an id. Where one stands is a row in {@link PRODUCERS}, written in the transactions of its appends under a transactional id of its own:
 * a producer that was killed finds out exactly what arrived.
 *
 * Two broker objects may append under one epoch, one after the other: each takes the transactional id when it finds that the other has it. Who may
 * append is decided by the epoch in the row, which is read after the id was taken.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Outgoing, Placed, ProducerAppend, ProducerState } from '../broker.ts';
import { checkProducerAppend, internalName } from '../checks.ts';
import { admit, openedAgain } from '../producer-state.ts';
import type { Cluster } from './cluster.ts';
import type { Fetcher } from './fetcher.ts';
import type { FrameSender } from './frame-sender.ts';
import { Rows } from './rows.ts';
import { TransactionalProducer } from './transactions.ts';

/** The topic with the states of producers. Transactional ids are its name and that of the producer. */
const PRODUCERS = 'millrace.producers';

const PARTITIONS = 16;
/** How often the transactional id may be taken away during one append. */
const ATTEMPTS = 10;

/** A row. The position is in base64. */
interface Row {
  readonly epoch: number;
  readonly sequence: number;
  readonly position: string | null;
}

interface Held {
  readonly producer: TransactionalProducer;
  state: ProducerState | undefined;
}

/** Producers of one broker object. */
export class KafkaProducers {
  readonly #cluster: Cluster;
  readonly #sender: FrameSender;
  readonly #rows: Rows<Row>;
  /** Ids that this object has taken, as far as it knows. */
  readonly #held = new Map<string, Held>();
  /** Calls of one id run one after the other. */
  readonly #tails = new Map<string, Promise<unknown>>();

  constructor(cluster: Cluster, fetcher: Fetcher, sender: FrameSender, replication: number) {
    this.#cluster = cluster;
    this.#sender = sender;
    this.#rows = new Rows(cluster, fetcher, {
      topic: PRODUCERS,
      partitions: PARTITIONS,
      replication,
    });
  }

  /** See {@link RecordLog.openProducer}. */
  async open(id: string): Promise<ProducerState> {
    internalName('producer', id);
    return await this.#inTurn(id, async () => {
      this.#held.delete(id);
      const held = await this.#take(id);
      const opened = openedAgain(held.state);
      await this.#write(id, held, opened, []);
      return opened;
    });
  }

  /** See {@link RecordLog.append}. The frames' places were checked. */
  async append(
    frames: readonly Outgoing[],
    append: ProducerAppend,
  ): Promise<readonly Placed[] | undefined> {
    checkProducerAppend(append);
    const { id, epoch, sequence, position } = append;
    return await this.#inTurn(id, async () => {
      for (let attempt = 1; ; attempt++) {
        const known = this.#held.has(id);
        const held = await this.#take(id);
        try {
          if (!admit(held.state, append)) return undefined;
        } catch (error) {
          if (!known) throw error;
          // Another object may have opened the id, or appended, since this one looked.
          this.#held.delete(id);
          continue;
        }
        try {
          return await this.#write(id, held, { epoch, sequence, position }, frames);
        } catch (error) {
          const fenced = MillraceError.is(error) && error.code === 'MR_FENCED';
          // Somebody has the id now; the row tells whether this epoch still counts.
          if (!fenced || attempt === ATTEMPTS) throw error;
        }
      }
    });
  }

  /** Takes the transactional id, and reads where the producer stands. */
  async #take(id: string): Promise<Held> {
    const there = this.#held.get(id);
    if (there?.producer.ready === true) return there;
    await this.#rows.make();
    const producer = new TransactionalProducer(this.#cluster, this.#sender, {
      transactionalId: `${PRODUCERS}.${id}`,
    });
    await producer.open();
    const row = await this.#rows.get(id);
    const held: Held = {
      producer,
      state:
        row === undefined
          ? undefined
          : {
              epoch: row.epoch,
              sequence: row.sequence,
              position: row.position === null ? undefined : Buffer.from(row.position, 'base64'),
            },
    };
    this.#held.set(id, held);
    return held;
  }

  /** One transaction: the frames and the row. */
  async #write(
    id: string,
    held: Held,
    state: ProducerState,
    frames: readonly Outgoing[],
  ): Promise<readonly Placed[]> {
    const { epoch, sequence, position } = state;
    const row: Row = {
      epoch,
      sequence,
      position: position === undefined ? null : Buffer.from(position).toString('base64'),
    };
    try {
      const transaction = held.producer.begin();
      try {
        const placed = await transaction.send([...frames, this.#rows.record(id, row)]);
        await transaction.commit();
        held.state = state;
        return placed.slice(0, frames.length);
      } finally {
        await transaction.abort();
      }
    } catch (error) {
      this.#held.delete(id);
      throw error;
    }
  }

  async #inTurn<T>(id: string, run: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(id) ?? Promise.resolve()).then(run);
    const tail = result.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(id, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(id) === tail) this.#tails.delete(id);
    }
  }
}
