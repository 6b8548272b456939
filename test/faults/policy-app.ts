/**
 * An app whose three handlers (an agent, an `each` and a declared stream) update a table, send on, and then throw, for the fault tests of error
 * policies.
 */
import { App, deadLetter, retry, unchecked } from 'millrace';
import type { AppOptions, OnError, Table, Topic } from 'millrace';

export const policies = ['fail', 'skip', 'retry', 'deadLetter', 'retryOrDeadLetter'] as const;
export type PolicyName = (typeof policies)[number];

export const handlers = ['agent', 'each', 'stream'] as const;
export type HandlerName = (typeof handlers)[number];

/** How many jobs there are. The first third are easy. */
export const JOBS = 3_000;
const EASY = 1_000;
/** How often a retry tries again. */
export const TIMES = 3;

/** `bad` ones always fail, `flaky` ones twice. */
export type Kind = 'good' | 'flaky' | 'bad';

/** There are flaky ones only where something is tried again. */
export function kindOf(n: number, policy: PolicyName): Kind {
  if (n < EASY) return 'good';
  if (n % 50 === 7) return 'bad';
  return n % 10 === 3 && policy.startsWith('retry') ? 'flaky' : 'good';
}

export const keyOf = (n: number): string => `k${n % 7}`;

export interface PolicyApp {
  readonly app: App;
  readonly jobs: Topic<string, number>;
  readonly parts: Readonly<Record<HandlerName, PolicyPart>>;
}

/** What one handler keeps and sends. */
export interface PolicyPart {
  readonly sums: Table<string, number, number>;
  readonly outputs: Topic<string | null, number>;
  readonly dead: Topic<string, number>;
}

/** `cured`: nothing throws any more. */
export function policyApp(
  directory: string,
  policy: PolicyName,
  cured: boolean,
  options: AppOptions = {},
): PolicyApp {
  const app = new App('policies', {
    broker: `file:${directory}`,
    commit: { every: 50, interval: 5 },
    ...options,
  });
  const jobs = app.topic('jobs', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: 3,
  });
  const part = (name: HandlerName): PolicyPart => ({
    sums: app.table(`${name}-sums`, { default: () => 0 }),
    outputs: app.topic(`${name}-outputs`, { value: unchecked<number>() }),
    dead: app.topic(`${name}-dead`, { key: unchecked<string>(), value: unchecked<number>() }),
  });
  const parts = { agent: part('agent'), each: part('each'), stream: part('stream') };
  const onError = (name: HandlerName): OnError => onErrorOf(policy, parts[name].dead);
  const trouble = (): ((n: number) => void) => (cured ? () => undefined : troubleOf(policy));

  const inAgent = trouble();
  app.agent(
    'agent',
    jobs,
    async function* (stream, context) {
      for await (const [key, n] of stream.items()) {
        parts.agent.sums.update(key, (sum) => sum + n);
        yield n * 2;
        if (n % 100 === 0) await context.sleep(1);
        inAgent(n);
      }
    },
    { sinks: [parts.agent.outputs], onError: onError('agent') },
  );

  const inEach = trouble();
  app.each(
    'each',
    jobs,
    async (n, event, context) => {
      parts.each.sums.update(event.key, (sum) => sum + n);
      await parts.each.outputs.send(n * 2);
      if (n % 100 === 0) await context.sleep(1);
      inEach(n);
    },
    { onError: onError('each'), concurrency: 4 },
  );

  const inStream = trouble();
  const guarded = jobs.stream().onError(onError('stream'));
  guarded.update(parts.stream.sums, (sum, n) => sum + n);
  guarded.map((n) => n * 2).sink(parts.stream.outputs);
  guarded.sink(inStream);
  return { app, jobs, parts };
}

function onErrorOf(policy: PolicyName, dead: { readonly name: string }): OnError {
  const every: Readonly<Record<PolicyName, OnError>> = {
    fail: 'fail',
    skip: 'skip',
    retry: retry({ times: TIMES }),
    deadLetter: deadLetter(dead),
    retryOrDeadLetter: retry({ times: TIMES, backoff: 1 }).orElse(deadLetter(dead)),
  };
  return every[policy];
}

function troubleOf(policy: PolicyName): (n: number) => void {
  const tries = new Map<number, number>();
  return (n) => {
    const kind = kindOf(n, policy);
    if (kind === 'good') return;
    const before = tries.get(n) ?? 0;
    tries.set(n, before + 1);
    if (kind === 'bad' || before < 2) throw new Error(`${kind} job ${n}`);
  };
}
