/**
 * What users give: functions, and objects of options. Programs run without their types being checked, so what a type would refuse is refused here,
 * where it is given, and not where it does harm.
 *
 * @module
 */
import { MillraceError } from './errors.ts';

/** Which options there are. `'later'`: it is not part of this version, and has no effect. */
export type Known<T> = Readonly<Record<keyof T, true>> & Readonly<Record<string, true | 'later'>>;

/**
 * Checks that `given` is an object with no other options than those that are known. Returns those that have no effect.
 *
 * @param what Whose options they are, for the error: `'topic orders'`.
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, naming the option that is probably meant.
 */
export function checkOptions<T>(what: string, given: unknown, known: Known<T>): readonly string[] {
  if (given === undefined) return [];
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `the options of ${what} are ${kindOf(given)}; give an object, such as { ${Object.keys(known)[0]}: … }`,
      { details: { what } },
    );
  const later: string[] = [];
  for (const [option, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(known, option)) throw unknownOption(what, option, known);
    if (known[option] === 'later') later.push(option);
  }
  return later;
}

/** Checks that `fn` can be called. @throws {@link MillraceError} `MR_ARGUMENT_INVALID` */
export function checkFunction(what: string, fn: unknown): void {
  if (typeof fn === 'function') return;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `${what} was given ${kindOf(fn)}; give it a function`,
    { details: { what } },
  );
}

/** Checks that a number is an integer in a range. @throws {@link MillraceError} `MR_OPTION_INVALID`, naming `what`. */
export function checkWhole(
  what: string,
  value: unknown,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  const range =
    max === Number.MAX_SAFE_INTEGER ? `an integer from ${min}` : `an integer from ${min} to ${max}`;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `${what} is ${typeof value === 'number' ? String(value) : kindOf(value)}; give ${range}`,
    { details: { option: what, value } },
  );
}

/** What something is, in words for an error. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

function unknownOption(
  what: string,
  option: string,
  known: Readonly<Record<string, true | 'later'>>,
): MillraceError {
  const names = Object.keys(known).filter((name) => known[name] === true);
  const shown = JSON.stringify(option.slice(0, 40));
  const meant = names
    .map((name) => ({ name, edits: editsBetween(name.toLowerCase(), option.toLowerCase()) }))
    .filter(({ name, edits }) => edits <= 2 && edits * 2 < name.length)
    .toSorted((a, b) => a.edits - b.edits)[0];
  return new MillraceError(
    'MR_OPTION_INVALID',
    meant === undefined
      ? `${what} has no option ${shown}; there are ${names.join(', ')}`
      : `${what} has no option ${shown}; did you mean ${meant.name}?`,
    { details: { what, option, known: names } },
  );
}

/** How many letters have to be put in, taken out or replaced to make one text of the other. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] as number) + 1,
          (next[j - 1] as number) + 1,
          (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] as number;
}
