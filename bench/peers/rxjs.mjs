import {
  bufferCount,
  concatMap,
  filter,
  from,
  lastValueFrom,
  map,
  merge,
  scan,
  Subject,
} from 'rxjs';
import { add, increment, isEven, keep, keepLater, plusThree, plusTwo, total } from './work.mjs';

const push = (numbers, declare) => {
  const source = new Subject();
  declare(source).subscribe(keep);
  for (let i = 0; i < numbers.length; i++) source.next(numbers[i]);
  source.complete();
};

export const sync = (numbers) =>
  push(numbers, (source) => source.pipe(map(increment), filter(isEven), scan(add, 0)));

/** Without back-pressure: all values wait in a queue of concatMap. */
export const awaited = (numbers) =>
  lastValueFrom(
    from(numbers).pipe(map(increment), filter(isEven), scan(add, 0), concatMap(keepLater)),
    { defaultValue: undefined },
  );

export const sliding = (numbers) =>
  push(numbers, (source) =>
    source.pipe(
      bufferCount(10, 1),
      filter((window) => window.length === 10),
      map(total),
    ),
  );

export const partition = (numbers) =>
  push(numbers, (source) =>
    source.pipe(
      bufferCount(100),
      filter((group) => group.length === 100),
      map(total),
    ),
  );

export const fork = (numbers) =>
  push(numbers, (source) =>
    merge(source.pipe(map(increment)), source.pipe(map(plusTwo)), source.pipe(map(plusThree))),
  );
