import most from 'most';
import { add, increment, isEven, keep, keepLater, plusThree, plusTwo, total } from './work.mjs';

/** There is no operator for windows and groups: `loop` keeps them. */
const windows = (size, next) => (window, x) => next(window, x, size);
const slide = windows(10, (window, x, size) => {
  if (window.length === size) window.shift();
  window.push(x);
  return { seed: window, value: window.length === size ? window.slice() : null };
});
const gather = windows(100, (group, x, size) => {
  group.push(x);
  return group.length === size ? { seed: [], value: group } : { seed: group, value: null };
});
const full = (group) => group !== null;

export const sync = (numbers) =>
  most.from(numbers).map(increment).filter(isEven).scan(add, 0).observe(keep);

export const awaited = (numbers) =>
  most
    .from(numbers)
    .map(increment)
    .filter(isEven)
    .scan(add, 0)
    .skip(1)
    .concatMap((x) => most.fromPromise(keepLater(x)))
    .drain();

export const sliding = (numbers) =>
  most.from(numbers).loop(slide, []).filter(full).map(total).observe(keep);

export const partition = (numbers) =>
  most.from(numbers).loop(gather, []).filter(full).map(total).observe(keep);

export const fork = (numbers) => {
  const source = most.from(numbers).multicast();
  return most
    .mergeArray([source.map(increment), source.map(plusTwo), source.map(plusThree)])
    .observe(keep);
};
