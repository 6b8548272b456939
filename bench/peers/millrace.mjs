import { Stream } from '../../src/index.ts';
import { add, increment, isEven, keep, keepLater, plusThree, plusTwo, total } from './work.mjs';

export const sync = (numbers) => {
  const source = new Stream();
  source.map(increment).filter(isEven).accumulate(add, { start: 0 }).sink(keep);
  for (let i = 0; i < numbers.length; i++) source.emit(numbers[i]);
};

export const awaited = async (numbers) => {
  const source = new Stream();
  source.map(increment).filter(isEven).accumulate(add, { start: 0 }).sink(keepLater);
  for (let i = 0; i < numbers.length; i++) {
    const pending = source.emit(numbers[i]);
    if (pending !== undefined) await pending;
  }
};

export const sliding = (numbers) => {
  const source = new Stream();
  source.slidingWindow(10, { returnPartial: false }).map(total).sink(keep);
  for (let i = 0; i < numbers.length; i++) source.emit(numbers[i]);
};

export const partition = (numbers) => {
  const source = new Stream();
  source.partition(100).map(total).sink(keep);
  for (let i = 0; i < numbers.length; i++) source.emit(numbers[i]);
};

export const fork = (numbers) => {
  const source = new Stream();
  source.map(increment).union(source.map(plusTwo), source.map(plusThree)).sink(keep);
  for (let i = 0; i < numbers.length; i++) source.emit(numbers[i]);
};

export const iterate = async (numbers) => {
  for await (const x of Stream.from(numbers).map(increment).filter(isEven)) keep(x);
};
