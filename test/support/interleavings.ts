/**
 * Runs small programs of several threads in every order that their accesses to shared memory can take. Every
 * access is one step: that is sequential consistency, which is what ECMA-262 promises to programs without
 * data races. Threads are ordinary functions; how they are taken one step at a time stands in
 * thread-graph.ts.
 *
 *   explore          every state, by any schedule: states that have been met are not explored again
 *   runSchedules     every schedule with so many preemptions at the most, each run by itself to its end,
 *                    nothing merged
 *   countSchedules   how many these are, counted over states, without running them
 *
 * A state is the memory and the node of every thread; what comes after follows from these alone, so to
 * explore one once is enough. That `runSchedules` runs exactly as many as `countSchedules` counts says the
 * same.
 */
import { StateTable } from './state-table.ts';
import { type Access, NODE, OPERATION, ThreadGraph, WordMap } from './thread-graph.ts';

export type { Access } from './thread-graph.ts';

export interface Program {
  readonly words: number;
  readonly threads: readonly Thread[];
  /** Threads that are ended before they are done, at the most. */
  readonly deathsMax?: number;
  /** Judges the memory when no thread has anything left to do: throws when something is wrong with it. */
  readonly atEnd?: (load: Access['load']) => void;
}

export interface Thread {
  readonly name: string;
  readonly run: (access: Access) => void;
  /** The thread may be ended at any point. */
  readonly mortal?: boolean;
  /** The thread starts only after these have ended, in one way or the other. */
  readonly after?: readonly number[];
  /** The thread starts only if the thread of that number was ended before it was done. */
  readonly replaces?: number;
}

/** The first schedule that failed, and why. */
export interface Failure {
  readonly schedule: readonly string[];
  readonly error: unknown;
}

export interface Exploration {
  readonly states: number;
  readonly steps: number;
  readonly failure?: Failure;
}

export interface Schedules {
  /** Run to their end. */
  readonly schedules: number;
  readonly steps: number;
  readonly failure?: Failure;
}

/** Words that a program can use; a row of the table of states has room for them. */
const WORDS_MAX = 96;
const STATES_MAX = 3_000_000;
const NOBODY = -1;
// Of this file's own: the test runner makes every use of an import a look-up, and these are used in inner
// loops.
const { STORE, EXCHANGE, LOAD, FAIL } = OPERATION;
const { DEAD, START } = NODE;

/** A program in the middle of its run: memory and threads in one row, threads first. */
class Machine {
  readonly graphs: readonly ThreadGraph[];
  readonly threads: readonly Thread[];
  readonly row: Int32Array;
  readonly #words = new WordMap(WORDS_MAX);
  readonly #deathsMax: number;
  readonly #atEnd: Program['atEnd'];

  constructor({ threads, deathsMax = 0, atEnd }: Program) {
    this.threads = threads;
    this.graphs = threads.map(thread => new ThreadGraph(thread.run, this.#words));
    this.row = new Int32Array(threads.length + WORDS_MAX);
    for (const [thread, graph] of this.graphs.entries()) this.row[thread] = graph.start;
    this.#deathsMax = deathsMax;
    this.#atEnd = atEnd;
  }

  /** Words of the row that are in use. */
  get length(): number {
    return this.threads.length + this.#words.words.length;
  }

  mayStep(thread: number): boolean {
    const node = this.row[thread]!;
    if (node < START) return false;
    const { replaces, after } = this.threads[thread]!;
    if (replaces === undefined && after === undefined) return true;
    if (replaces !== undefined && this.row[replaces] !== DEAD) return false;
    return after === undefined || after.every(other => this.row[other]! < START);
  }

  mayDie(thread: number): boolean {
    if (!this.threads[thread]!.mortal) return false;
    let dead = 0;
    for (let other = 0; other < this.threads.length; other++) if (this.row[other] === DEAD) dead++;
    return dead < this.#deathsMax;
  }

  /** One access of `thread`; returns what the word held before, for `undo`. */
  step(thread: number): number {
    const graph = this.graphs[thread]!;
    const node = this.row[thread]!;
    const at = this.threads.length + graph.word[node]!;
    const found = this.row[at]!;
    let result = found;
    switch (graph.operation[node]) {
      case STORE:
        result = graph.value[node]!;
        this.row[at] = result;
        break;
      case EXCHANGE:
        if (found === graph.expected[node]) this.row[at] = graph.value[node]!;
        break;
    }
    this.row[thread] = graph.after(node, result);
    return found;
  }

  undo(thread: number, node: number, found: number): void {
    this.row[thread] = node;
    this.row[this.threads.length + this.graphs[thread]!.word[node]!] = found;
  }

  hasFailed(thread: number): boolean {
    const node = this.row[thread]!;
    return node >= START && this.graphs[thread]!.operation[node] === FAIL;
  }

  errorOf(thread: number): unknown {
    return this.graphs[thread]!.errors.get(this.row[thread]!);
  }

  /** What is wrong with the memory at the end. */
  errorAtEnd(): unknown {
    try {
      this.#atEnd?.(word => this.row[this.threads.length + this.#words.indexOf(word)]!);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** What `thread` does next. */
  describe(thread: number): string {
    const graph = this.graphs[thread]!;
    const node = this.row[thread]!;
    const index = graph.word[node]!;
    const word = this.#words.words[index]!;
    const found = this.row[this.threads.length + index]!;
    const { name } = this.threads[thread]!;
    if (graph.operation[node] === LOAD) return `${name} loads ${word} → ${found}`;
    if (graph.operation[node] === STORE) return `${name} stores ${word} = ${graph.value[node]}`;
    return `${name} exchanges ${word} for ${graph.value[node]} → ${found}`;
  }
}

/** A move is a step of a thread or, as `~thread`, its death. */
function described(program: Program, moves: readonly number[]): string[] {
  const machine = new Machine(program);
  return moves.map(move => {
    if (move < 0) {
      machine.row[~move] = DEAD;
      return `${program.threads[~move]!.name} dies`;
    }
    const step = machine.describe(move);
    machine.step(move);
    return step;
  });
}

export function explore(program: Program, statesMax = STATES_MAX): Exploration {
  const machine = new Machine(program);
  const table = new StateTable(machine.length);
  /** By state: the state from which it was met first, and the move that led from there. */
  const from: number[] = [NOBODY];
  const by: number[] = [0];
  const open = [table.add(machine.row, machine.length)];
  let steps = 0;
  const fail = (state: number, error: unknown, ...last: number[]): Exploration => {
    const moves = last;
    for (let at = state; from[at] !== NOBODY; at = from[at]!) moves.unshift(by[at]!);
    return { states: table.size, steps, failure: { schedule: described(program, moves), error } };
  };
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    table.read(state, machine.row, machine.length);
    let moved = false;
    const meet = (move: number) => {
      steps++;
      moved = true;
      const before = table.size;
      const next = table.add(machine.row, machine.length);
      if (next !== before) return;
      if (next >= statesMax) throw new Error(`more than ${statesMax} states`);
      from.push(state);
      by.push(move);
      open.push(next);
    };
    for (let thread = 0; thread < program.threads.length; thread++) {
      if (!machine.mayStep(thread)) continue;
      const node = machine.row[thread]!;
      const found = machine.step(thread);
      if (machine.hasFailed(thread)) return fail(state, machine.errorOf(thread), thread);
      meet(thread);
      machine.undo(thread, node, found);
      if (!machine.mayDie(thread)) continue;
      machine.row[thread] = DEAD;
      meet(~thread);
      machine.row[thread] = node;
    }
    const error = moved ? undefined : machine.errorAtEnd();
    if (error !== undefined) return fail(state, error);
  }
  return { states: table.size, steps };
}

interface Bound {
  /** Switches away from a thread that could go on. Those at its end or death are free. */
  readonly preemptionsMax: number;
}

/** Runs every schedule within the bound from its first step to its last. Stops at the first that fails. */
export function runSchedules(program: Program, { preemptionsMax }: Bound): Schedules {
  const walk = new Walk(program, undefined);
  walk.from(NOBODY, preemptionsMax);
  const { schedules, steps, moves, error } = walk;
  if (error === undefined) return { schedules, steps };
  return { schedules, steps, failure: { schedule: described(program, moves.toReversed()), error } };
}

/** The number of schedules within the bound; beyond 2^53 to 16 digits. The program must be sound. */
export function countSchedules(program: Program, { preemptionsMax }: Bound): number {
  const walk = new Walk(program, new Map());
  const count = walk.from(NOBODY, preemptionsMax);
  if (walk.error !== undefined) throw walk.error;
  return count;
}

/**
 * Goes through schedules, depth first. A thread dies only while it is the one that runs: dying later, while
 * it is preempted, changes nothing for others, and waits for nobody.
 */
class Walk {
  schedules = 0;
  steps = 0;
  error: unknown;
  /** After a failure, the moves that led to it, last first: they are noted on the way back. */
  readonly moves: number[] = [];
  readonly #machine: Machine;
  readonly #threadCount: number;
  /** Counts of what has been walked before, if they are kept: by running thread and preemptions left. */
  readonly #known: Map<number, number[]> | undefined;
  readonly #states: StateTable;

  constructor(program: Program, known: Map<number, number[]> | undefined) {
    this.#machine = new Machine(program);
    this.#threadCount = program.threads.length;
    this.#known = known;
    this.#states = new StateTable(this.#machine.length);
  }

  /** Schedules from here on, where `running` ran last. */
  from(running: number, preemptionsLeft: number): number {
    if (this.#known === undefined) return this.#walk(running, preemptionsLeft);
    const state = this.#states.add(this.#machine.row, this.#machine.length);
    // Only whether it can still run counts, and who it is.
    const bounded = Number.isFinite(preemptionsLeft) ? preemptionsLeft + 1 : 0;
    const key = bounded * (this.#threadCount + 1) + running + 1;
    const counts = this.#known.get(key) ?? [];
    this.#known.set(key, counts);
    const count = counts[state] ?? this.#walk(running, preemptionsLeft);
    counts[state] = count;
    return count;
  }

  #walk(running: number, preemptionsLeft: number): number {
    const machine = this.#machine;
    const runs = running !== NOBODY && machine.mayStep(running);
    let count = 0;
    let moved = false;
    if (runs) {
      moved = true;
      count += this.#step(running, preemptionsLeft);
      if (this.error === undefined && machine.mayDie(running)) count += this.#die(running, preemptionsLeft);
    }
    if (!runs || preemptionsLeft > 0) {
      for (let thread = 0; thread < this.#threadCount && this.error === undefined; thread++) {
        if (thread === running || !machine.mayStep(thread)) continue;
        moved = true;
        count += this.#step(thread, runs ? preemptionsLeft - 1 : preemptionsLeft);
      }
    }
    if (moved) return count;
    this.schedules++;
    this.error = machine.errorAtEnd();
    return 1;
  }

  #step(thread: number, preemptionsLeft: number): number {
    const machine = this.#machine;
    const node = machine.row[thread]!;
    this.steps++;
    const found = machine.step(thread);
    if (machine.hasFailed(thread)) {
      this.schedules++;
      this.error = machine.errorOf(thread);
    }
    const count = this.error === undefined ? this.from(thread, preemptionsLeft) : 0;
    if (this.error !== undefined) this.moves.push(thread);
    machine.undo(thread, node, found);
    return count;
  }

  #die(thread: number, preemptionsLeft: number): number {
    const node = this.#machine.row[thread]!;
    this.#machine.row[thread] = DEAD;
    const count = this.from(NOBODY, preemptionsLeft);
    if (this.error !== undefined) this.moves.push(~thread);
    this.#machine.row[thread] = node;
    return count;
  }
}
