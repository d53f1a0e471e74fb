/**
 * Runs small programs of several threads in every order that their accesses to shared memory can take. A
 * thread is an ordinary synchronous function that is deterministic but for what it reads; to let it take one
 * more step it is run again from its start with the results it has seen before, does one access for real, and
 * is cut off at the next. States that have been met are not explored again. Every access is one step: that is
 * sequential consistency, which is what ECMA-262 promises to programs without data races.
 */

/** One step of a thread on the shared words. */
export interface Access {
  load(word: number): number;
  store(word: number, value: number): void;
  compareExchange(word: number, expected: number, replacement: number): number;
}

export interface Program {
  readonly words: number;
  readonly threads: readonly Thread[];
  /** Threads that are ended before they are done, at the most. */
  readonly deathsMax?: number;
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

export interface Exploration {
  readonly states: number;
  readonly steps: number;
  /** The first schedule that failed, and why. */
  readonly failure?: { readonly schedule: readonly string[]; readonly error: unknown };
}

const CUT_OFF = Symbol('cut off');

const LIVES = 0;
const DONE = 1;
const DEAD = 2;

interface State {
  readonly memory: readonly number[];
  /** What each thread's accesses have returned so far. */
  readonly seen: readonly (readonly number[])[];
  readonly ends: readonly number[];
  readonly schedule: Schedule | undefined;
}

interface Schedule {
  readonly before: Schedule | undefined;
  readonly step: string;
}

export function explore(program: Program, statesMax = 3_000_000): Exploration {
  const met = new Set<string>();
  const open: State[] = [
    {
      memory: Array(program.words).fill(0),
      seen: program.threads.map(() => []),
      ends: program.threads.map(() => LIVES),
      schedule: undefined,
    },
  ];
  let steps = 0;
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    for (const next of successors(program, state)) {
      steps++;
      if ('error' in next) return { states: met.size, steps, failure: next };
      const key = [next.memory, next.ends, ...next.seen].map(numbers => numbers.join()).join(';');
      if (met.has(key)) continue;
      met.add(key);
      if (met.size > statesMax) throw new Error(`more than ${statesMax} states`);
      open.push(next);
    }
  }
  return { states: met.size, steps };
}

type Failure = NonNullable<Exploration['failure']>;

function* successors(program: Program, state: State): Generator<State | Failure> {
  const deaths = state.ends.filter(end => end === DEAD).length;
  for (const [index, thread] of program.threads.entries()) {
    if (state.ends[index] !== LIVES || !mayStart(thread, state)) continue;
    yield stepped(thread, index, state);
    if (thread.mortal && deaths < (program.deathsMax ?? 0)) {
      yield {
        ...state,
        ends: state.ends.with(index, DEAD),
        // A thread that has ended has no memory of its own: states that differ by it alone are the same.
        seen: state.seen.with(index, []),
        schedule: { before: state.schedule, step: `${thread.name} dies` },
      };
    }
  }
}

function mayStart(thread: Thread, state: State): boolean {
  if (thread.replaces !== undefined && state.ends[thread.replaces] !== DEAD) return false;
  return (thread.after ?? []).every(other => state.ends[other] !== LIVES);
}

/** The state after one more access of `thread`, or its failure. */
function stepped(thread: Thread, index: number, state: State): State | Failure {
  const past = state.seen[index]!;
  const memory = [...state.memory];
  const seen = [...past];
  let position = 0;
  let described = `${thread.name} ends`;
  const access = (what: string, act: () => number): number => {
    const at = position++;
    if (at < past.length) return past[at]!;
    if (at > past.length) throw CUT_OFF;
    const result = act();
    seen.push(result);
    described = `${thread.name} ${what} → ${result}`;
    return result;
  };
  let end = LIVES;
  let error: unknown;
  try {
    thread.run({
      load: word => access(`load ${word}`, () => memory[word]!),
      store: (word, value) => {
        access(`store ${word}`, () => (memory[word] = value));
      },
      compareExchange: (word, expected, replacement) =>
        access(`exchange ${word}`, () => {
          const found = memory[word]!;
          if (found === expected) memory[word] = replacement;
          return found;
        }),
    });
    end = DONE;
  } catch (thrown) {
    if (thrown !== CUT_OFF) error = thrown;
  }
  const schedule: Schedule = { before: state.schedule, step: described };
  if (error !== undefined) return { schedule: listed(schedule), error };
  return {
    memory,
    seen: state.seen.with(index, end === DONE ? [] : seen),
    ends: state.ends.with(index, end),
    schedule,
  };
}

function listed(last: Schedule | undefined): string[] {
  const steps: string[] = [];
  for (let schedule = last; schedule !== undefined; schedule = schedule.before) steps.unshift(schedule.step);
  return steps;
}
