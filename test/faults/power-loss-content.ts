/** What `power-loss-child.ts` writes, and whether a directory holds what it must of that. */
import { verifyDirectory } from '../../src/broker/verify.ts';
import { openBroker } from '../../src/broker/open.ts';
import { frameOf, realContext, textsOf } from '../broker/log-over.ts';

export const FRAME_RECORDS = 3;

/** The record at an offset of either topic: from a few bytes, in pages with others, to many pages. */
export function textAt(offset: number): string {
  const frame = Math.floor(offset / FRAME_RECORDS);
  return `${offset}:${String.fromCharCode(97 + (offset % 26)).repeat(((frame * 5) % 7) ** 2 * 300)}`;
}

/** What had been acknowledged: topics that are there, ends that are reached, what is cut off, and where a cut under way goes. */
export interface Told {
  readonly topics: readonly string[];
  readonly ends: Readonly<Record<string, number>>;
  readonly cut: Readonly<Record<string, number>>;
  readonly cutting: Readonly<Record<string, number>>;
}

export const nothingTold: Told = { topics: [], ends: {}, cut: {}, cutting: {} };

/** Adds lines of the child to what was told before. */
export function heard(before: Told, lines: readonly (readonly string[])[]): Told {
  const topics = new Set(before.topics);
  const [ends, cut, cutting] = [{ ...before.ends }, { ...before.cut }, { ...before.cutting }];
  for (const [word = '', ...rest] of lines)
    if (word === 'topic') topics.add(rest[0] ?? '');
    else if (word === 'cut') cut[rest[0] ?? ''] = Number(rest[1]);
    else if (word === 'cutting') cutting[rest[0] ?? ''] = Number(rest[1]);
    else ends[word] = Number(rest[0]);
  return { topics: [...topics], ends, cut, cutting };
}

/** What a directory that lost its power holds. Throws when anything is not as it must be. */
export async function checkContent(directory: string, told: Told): Promise<Told> {
  const url = `file:${directory}`;
  const report = await verifyDirectory(url, realContext());
  // Before the first transaction there is no row to be found.
  const empty = told.topics.length === 0;
  if (!report.ok && !(empty && report.topics === 0))
    throw new Error(`verify: ${JSON.stringify(report.problems.slice(0, 3))}`);
  const broker = await openBroker(url, realContext());
  try {
    const there = (await broker.topics()).map(({ name }) => name);
    for (const name of told.topics) need(there.includes(name), `topic ${name} is gone`);
    const found = { topics: there, ends: {}, cut: {}, cutting: {} } as {
      [name in 'ends' | 'cut' | 'cutting']: Record<string, number>;
    } & { topics: string[] };
    for (const name of there) {
      const { start, end } = await broker.bounds(name, 0);
      need(end >= (told.ends[name] ?? 0), `${name} ends at ${end}`);
      need(start >= (told.cut[name] ?? 0), `${name} begins at ${start} again`);
      need(start <= (told.cutting[name] ?? 0), `${name} begins at ${start}`);
      const texts = await textsOf(broker, name);
      need(texts.length === end - start, `${name} has ${texts.length} records`);
      for (const [i, text] of texts.entries())
        need(text === textAt(start + i), `${name}@${start + i} is ${text.slice(0, 20)}`);
      found.ends[name] = end;
      found.cut[name] = start;
      found.cutting[name] = Math.max(start, told.cutting[name] ?? 0);
    }
    const task = (await broker.describeGroup('copier'))?.tasks[0];
    const position = task?.positions[0]?.offset ?? 0;
    need(position === (found.ends['out'] ?? 0), `the task stands at ${position}`);
    const meta = task?.meta === undefined ? '0' : Buffer.from(task.meta).toString();
    need(meta === String(position), `the meta of the task says ${meta}`);
    if (!there.includes('in')) return found;
    const producer = await broker.openProducer('loader');
    const end = found.ends['in'] ?? 0;
    need(producer.sequence * FRAME_RECORDS === end, `the producer stands at ${producer.sequence}`);
    // It can be written to.
    for (let i = 0; i < 5; i++)
      await broker.append([{ topic: 'in', partition: 0, frame: frameOf('after '.repeat(3000)) }]);
    need((await broker.bounds('in', 0)).end === end + 5, 'what is appended is not there');
    return found;
  } finally {
    await broker.close();
  }
}

function need(held: boolean, what: string): void {
  if (!held) throw new Error(what);
}
