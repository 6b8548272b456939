import { from as fromAsync } from 'ix/asynciterable';
import {
  filter as filterAsync,
  map as mapAsync,
  scan as scanAsync,
} from 'ix/asynciterable/operators';
import { from } from 'ix/iterable';
import { buffer, filter, map, scan } from 'ix/iterable/operators';
import { add, increment, isEven, keep, keepLater, total } from './work.mjs';

export const sync = (numbers) => {
  const sums = from(numbers).pipe(map(increment), filter(isEven), scan({ callback: add, seed: 0 }));
  for (const x of sums) keep(x);
};

export const awaited = async (numbers) => {
  const sums = fromAsync(numbers).pipe(
    mapAsync(increment),
    filterAsync(isEven),
    scanAsync({ callback: add, seed: 0 }),
  );
  for await (const x of sums) await keepLater(x);
};

export const sliding = (numbers) => {
  const sums = from(numbers).pipe(
    buffer(10, 1),
    filter((window) => window.length === 10),
    map(total),
  );
  for (const x of sums) keep(x);
};

export const partition = (numbers) => {
  const sums = from(numbers).pipe(
    buffer(100),
    filter((group) => group.length === 100),
    map(total),
  );
  for (const x of sums) keep(x);
};

export const iterate = async (numbers) => {
  for await (const x of fromAsync(numbers).pipe(mapAsync(increment), filterAsync(isEven))) keep(x);
};
