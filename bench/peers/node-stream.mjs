import { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { add, increment, isEven, keep, keepLater, total } from './work.mjs';

const transform = (fn) =>
  new Transform({
    objectMode: true,
    transform(x, _encoding, done) {
      fn(x, this);
      done();
    },
  });
const sink = () =>
  new Writable({
    objectMode: true,
    write(x, _encoding, done) {
      keep(x);
      done();
    },
  });
const sinkLater = () =>
  new Writable({
    objectMode: true,
    write(x, _encoding, done) {
      keepLater(x).then(() => done(), done);
    },
  });
const mapped = () => transform((x, out) => out.push(increment(x)));
const even = () =>
  transform((x, out) => {
    if (isEven(x)) out.push(x);
  });
const summed = () => {
  let state = 0;
  return transform((x, out) => {
    state = add(state, x);
    out.push(state);
  });
};

export const sync = (numbers) =>
  pipeline(Readable.from(numbers), mapped(), even(), summed(), sink());

export const awaited = (numbers) =>
  pipeline(Readable.from(numbers), mapped(), even(), summed(), sinkLater());

export const sliding = (numbers) => {
  const window = [];
  const slide = transform((x, out) => {
    if (window.length === 10) window.shift();
    window.push(x);
    if (window.length === 10) out.push(window.slice());
  });
  return pipeline(
    Readable.from(numbers),
    slide,
    transform((values, out) => out.push(total(values))),
    sink(),
  );
};

export const partition = (numbers) => {
  let group = [];
  const gather = transform((x, out) => {
    group.push(x);
    if (group.length < 100) return;
    out.push(group);
    group = [];
  });
  return pipeline(
    Readable.from(numbers),
    gather,
    transform((values, out) => out.push(total(values))),
    sink(),
  );
};

export const iterate = async (numbers) => {
  for await (const x of Readable.from(numbers).pipe(mapped()).pipe(even())) keep(x);
};
