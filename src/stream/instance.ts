/**
 * Brings a template to life for a task.
 *
 * Invariant: two instances of one template share nothing but the functions and options that the user gave.
 *
 * @module
 */
import { assert } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import { inTopologicalOrder } from './graph.ts';
import type { GraphNode } from './node.ts';
import type { MakeOperator, Operator, Output, Receive, Scope } from './operator.ts';
import { fanOut, nothing } from './output.ts';

/** A part of a graph that is alive. */
export interface Instance {
  /** Where the values of a root go in. Its own operator is passed over: what comes in is what a topic holds already. */
  input(root: GraphNode): Receive;
  /** Sends what is held back, parents before children. Nothing when that happened at once. To be called once. */
  flush(): void | Promise<void>;
  /** Lets go of timers and other resources; what waits in front of busy operators is dropped. */
  close(): void;
}

/**
 * Makes an operator of every node that can be reached from `roots`, once each, and connects them.
 *
 * Inputs of a node are in the order of its parents. Parents that cannot be reached are left out: nothing comes from them.
 *
 * @param cut What to put in place of a node, or nothing to use its own operator. Nothing behind a replaced node is made, unless it
 * is reached otherwise.
 * @param scopeOf What surrounds a node, where that differs from node to node; default `scope` for all.
 * @throws what an operator throws when it is made; those made before it are closed.
 */
export function instantiate(
  roots: readonly GraphNode[],
  scope: Scope,
  cut: (node: GraphNode) => MakeOperator | undefined,
  scopeOf: (node: GraphNode) => Scope = () => scope,
): Instance {
  const replaced = new Map<GraphNode, MakeOperator>();
  const behind = new Map<GraphNode, readonly GraphNode[]>();
  const childrenOf = (node: GraphNode): readonly GraphNode[] => {
    const children = node.children.filter((child) => isUsed(child, scope));
    for (const child of children) {
      const instead = replaced.get(child) ?? cut(child);
      if (instead !== undefined) replaced.set(child, instead);
    }
    behind.set(node, children);
    return children.filter((child) => !replaced.has(child));
  };
  const order = inTopologicalOrder([...new Set(roots)], childrenOf);

  const outputs = new Map<GraphNode, Output>();
  const operators = new Map<GraphNode, Operator>();
  const close = (): void => closeAll([...operators.values()]);
  try {
    for (const node of order) {
      const output: Output = { next: nothing };
      outputs.set(node, output);
      // A root that nothing leads to is an entrance only.
      if (node.parents.some((parent) => behind.has(parent) && !replaced.has(node)))
        operators.set(node, operatorOf(node.make(output, scopeOf(node))));
    }
    for (const [node, make] of replaced)
      operators.set(node, operatorOf(make({ next: nothing }, scopeOf(node))));
  } catch (error) {
    close();
    throw error;
  }
  for (const [node, output] of outputs)
    output.next = fanOut(
      (behind.get(node) ?? []).flatMap((child) => inputsFrom(node, child, operators)),
    );

  return {
    input(root) {
      const output = outputs.get(root);
      assert(output !== undefined, 'the instance has no such root', { kind: root.kind });
      return output.next;
    },
    flush: () => flushAll([...operators.values()]),
    close,
  };
}

/** The operator that `make` gave, whichever form it has. */
export function operatorOf(made: Operator | Receive): Operator {
  return typeof made === 'function' ? { inputs: [made] } : made;
}

/** The input of an operator for the parent at `place`. An operator with one input takes all its parents there. */
export function inputAt(operator: Operator, place: number): Receive {
  const input = operator.inputs[operator.inputs.length === 1 ? 0 : place];
  assert(input !== undefined, 'an operator has fewer inputs than parents', { place });
  return input;
}

/** Calls `flush` one after the other. All are called; the first error is thrown at the end. */
export function flushAll(operators: readonly Operator[]): void | Promise<void> {
  const errors: unknown[] = [];
  for (const [i, operator] of operators.entries()) {
    try {
      const flushed = operator.flush?.();
      if (isPromise(flushed)) return flushRest(flushed, operators.slice(i + 1), errors);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

async function flushRest(
  flushed: Promise<unknown>,
  rest: readonly Operator[],
  errors: unknown[],
): Promise<void> {
  try {
    await flushed;
  } catch (error) {
    errors.push(error);
  }
  for (const operator of rest)
    try {
      await operator.flush?.();
    } catch (error) {
      errors.push(error);
    }
  if (errors.length > 0) throw errors[0];
}

/** Calls `close` of each. All are called; the first error is thrown at the end. */
export function closeAll(operators: readonly Operator[]): void {
  const errors: unknown[] = [];
  for (const operator of operators)
    try {
      operator.close?.();
    } catch (error) {
      errors.push(error);
    }
  if (errors.length > 0) throw errors[0];
}

function inputsFrom(
  parent: GraphNode,
  child: GraphNode,
  operators: ReadonlyMap<GraphNode, Operator>,
): Receive[] {
  const operator = operators.get(child);
  assert(operator !== undefined, 'a node has no operator', { kind: child.kind });
  return child.parents.flatMap((of, place) => (of === parent ? [inputAt(operator, place)] : []));
}

/** In a task a `groupBy` is replaced, or it has nobody behind it and need not be there. */
function isUsed(node: GraphNode, scope: Scope): boolean {
  return node.role.role !== 'cut' || scope.kind === 'process' || node.children.length > 0;
}
