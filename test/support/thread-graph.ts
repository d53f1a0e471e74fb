/**
 * What a thread does, learnt from its real code. A thread is an ordinary synchronous function that is
 * deterministic but for what it reads: so what it will do next follows from the results that its accesses
 * have had so far. The graph has a node for every such history that has come about, and the access that
 * follows it. To learn a node the function is run from its start, is given the results that are known, and is
 * cut off at its next access. After that, to take a step is to look up a number.
 */

/** One step of a thread on the shared words. */
export interface Access {
  load(word: number): number;
  store(word: number, value: number): void;
  compareExchange(word: number, expected: number, replacement: number): number;
}

export const OPERATION = { LOAD: 0, STORE: 1, EXCHANGE: 2, END: 3, FAIL: 4 } as const;
type Operation = (typeof OPERATION)[keyof typeof OPERATION];

/** Nodes that all graphs have: the thread is at its end, or was ended; and the first one in its code. */
export const NODE = { ENDED: 0, DEAD: 1, START: 2 } as const;
const { ENDED } = NODE;
const UNKNOWN = -1;

interface Step {
  readonly operation: Operation;
  readonly word: number;
  readonly expected: number;
  readonly value: number;
}

const NO_ACCESS = { word: 0, expected: 0, value: 0 };
const CUT_OFF = Symbol('cut off');

/** Numbers the words that threads use 0, 1, 2… in the order in which they are met. */
export class WordMap {
  readonly #indexes = new Map<number, number>();
  readonly #countMax: number;
  readonly words: number[] = [];

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  indexOf(word: number): number {
    let index = this.#indexes.get(word);
    if (index === undefined) {
      index = this.words.length;
      if (index === this.#countMax) throw new Error(`the program uses more than ${this.#countMax} words`);
      this.#indexes.set(word, index);
      this.words.push(word);
    }
    return index;
  }
}

export class ThreadGraph {
  /** By node: what the thread does next; `word` as the map numbers it. */
  readonly operation: Operation[] = [OPERATION.END, OPERATION.END];
  readonly word: number[] = [0, 0];
  readonly expected: number[] = [0, 0];
  readonly value: number[] = [0, 0];
  /** Of nodes where the thread has thrown. */
  readonly errors = new Map<number, unknown>();

  readonly #run: (access: Access) => void;
  readonly #words: WordMap;
  /** By node: the node before it, and the result that led here. */
  readonly #before: number[] = [UNKNOWN, UNKNOWN];
  readonly #result: number[] = [0, 0];
  /** By node: the nodes after it, in a chain. */
  readonly #firstAfter: number[] = [UNKNOWN, UNKNOWN];
  readonly #sibling: number[] = [UNKNOWN, UNKNOWN];
  /** By node: what comes after it is the end, when the result is this one. */
  readonly #endsAfter: Set<number>[] = [new Set(), new Set()];
  /** The first node, or ENDED when the thread touches nothing. */
  readonly start: number;

  constructor(run: (access: Access) => void, words: WordMap) {
    this.#run = run;
    this.#words = words;
    this.start = this.#learn(UNKNOWN, 0);
  }

  /** The node after `node` when its access had this result. */
  after(node: number, result: number): number {
    for (let next = this.#firstAfter[node]!; next !== UNKNOWN; next = this.#sibling[next]!) {
      if (this.#result[next] === result) return next;
    }
    if (this.#endsAfter[node]!.has(result)) return ENDED;
    return this.#learn(node, result);
  }

  #learn(before: number, result: number): number {
    const path = this.#pathTo(before);
    const results = path.slice(1).map(node => this.#result[node]!);
    if (before !== UNKNOWN) results.push(result);
    const { step, error } = this.#rerun(path, results);
    if (step.operation === OPERATION.END) {
      if (before !== UNKNOWN) this.#endsAfter[before]!.add(result);
      return ENDED;
    }
    const node = this.operation.length;
    this.operation.push(step.operation);
    this.word.push(step.word);
    this.expected.push(step.expected);
    this.value.push(step.value);
    if (step.operation === OPERATION.FAIL) this.errors.set(node, error);
    this.#before.push(before);
    this.#result.push(result);
    this.#firstAfter.push(UNKNOWN);
    this.#endsAfter.push(new Set());
    this.#sibling.push(before === UNKNOWN ? UNKNOWN : this.#firstAfter[before]!);
    if (before !== UNKNOWN) this.#firstAfter[before] = node;
    return node;
  }

  /** Nodes from the first one to `node`. */
  #pathTo(node: number): number[] {
    const path: number[] = [];
    for (let at = node; at !== UNKNOWN; at = this.#before[at]!) path.unshift(at);
    return path;
  }

  /** Runs the thread with these results of its accesses, those at `path`; returns what it does next. */
  #rerun(path: readonly number[], results: readonly number[]): { step: Step; error?: unknown } {
    let next: Step | undefined;
    let position = 0;
    const access = (operation: Operation, word: number, expected: number, value: number): number => {
      // A `finally` of the thread may come here once more after the cut.
      if (next !== undefined) throw CUT_OFF;
      const step = { operation, word: this.#words.indexOf(word), expected, value };
      if (position === results.length) {
        next = step;
        throw CUT_OFF;
      }
      this.#checkSame(path[position]!, step);
      return results[position++]!;
    };
    try {
      this.#run({
        load: word => access(OPERATION.LOAD, word, 0, 0),
        store: (word, value) => {
          access(OPERATION.STORE, word, 0, value);
        },
        compareExchange: (word, expected, value) => access(OPERATION.EXCHANGE, word, expected, value),
      });
    } catch (error) {
      if (next === undefined) return { step: { operation: OPERATION.FAIL, ...NO_ACCESS }, error };
    }
    return { step: next ?? { operation: OPERATION.END, ...NO_ACCESS } };
  }

  /** The whole method rests on this: with the same results a thread does the same. */
  #checkSame(node: number, { operation, word, expected, value }: Step): void {
    if (
      operation !== this.operation[node] ||
      word !== this.word[node] ||
      expected !== this.expected[node] ||
      value !== this.value[node]
    ) {
      throw new Error('a thread is not deterministic: with the same results it has done something else');
    }
  }
}
