/** The limit: loops written by hand. */
import { add, increment, isEven, keep, keepLater, plusThree, plusTwo, total } from './work.mjs';

export const sync = (numbers) => {
  let state = 0;
  for (let i = 0; i < numbers.length; i++) {
    const next = increment(numbers[i]);
    if (!isEven(next)) continue;
    state = add(state, next);
    keep(state);
  }
};

export const awaited = async (numbers) => {
  let state = 0;
  for (let i = 0; i < numbers.length; i++) {
    const next = increment(numbers[i]);
    if (!isEven(next)) continue;
    state = add(state, next);
    await keepLater(state);
  }
};

export const sliding = (numbers) => {
  const window = [];
  for (let i = 0; i < numbers.length; i++) {
    if (window.length === 10) window.shift();
    window.push(numbers[i]);
    if (window.length === 10) keep(total(window));
  }
};

export const partition = (numbers) => {
  let group = [];
  for (let i = 0; i < numbers.length; i++) {
    group.push(numbers[i]);
    if (group.length < 100) continue;
    keep(total(group));
    group = [];
  }
};

export const fork = (numbers) => {
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i];
    keep(increment(x));
    keep(plusTwo(x));
    keep(plusThree(x));
  }
};

export const iterate = (numbers) => {
  for (const x of numbers) {
    const next = increment(x);
    if (isEven(next)) keep(next);
  }
};
