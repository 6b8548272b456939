/**
 * The largest flow through a small network with whole capacities: it says how many tasks can go to members that follow them, and which.
 *
 * @see J. Edmonds, R. Karp, "Theoretical improvements in algorithmic efficiency for network flow problems" (1972): always along a shortest path
 * @module
 */

interface Edge {
  readonly to: number;
  capacity: number;
  /** The same edge against its direction; its capacity is what flows. */
  back: Edge;
}

/** Nodes are whole numbers. */
export class FlowNetwork {
  readonly source = 0;
  readonly sink = 1;
  readonly #edges: Edge[][] = [[], []];

  /** A new node. */
  node(): number {
    return this.#edges.push([]) - 1;
  }

  /** A new edge. Returns how to read what flows through it. */
  edge(from: number, to: number, capacity: number): () => number {
    const edge: Partial<Edge> & { capacity: number } = { to, capacity };
    const back = { to: from, capacity: 0, back: edge } as Edge;
    edge.back = back;
    this.#edges[from]?.push(edge as Edge);
    this.#edges[to]?.push(back);
    return () => back.capacity;
  }

  /** Makes as much as possible flow. The same network, built in the same order, has the same flow. */
  fill(): void {
    while (this.#augment());
  }

  /** One unit more along a shortest path; `false` when there is none. */
  #augment(): boolean {
    const by = new Map<number, Edge | undefined>([[this.source, undefined]]);
    for (const node of by.keys()) {
      for (const edge of this.#edges[node] ?? [])
        if (edge.capacity > 0 && !by.has(edge.to)) by.set(edge.to, edge);
      if (by.has(this.sink)) break;
    }
    if (!by.has(this.sink)) return false;
    for (let edge = by.get(this.sink); edge !== undefined; edge = by.get(edge.back.to)) {
      edge.capacity--;
      edge.back.capacity++;
    }
    return true;
  }
}
