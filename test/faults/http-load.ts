/**
 * The steady load under which faults are injected: a fixed rate of selections on connections that are
 * kept, each answer checked as a whole. What is wrong with one is counted, by reason and by the phase in
 * which it was sent.
 */
import { Agent } from 'node:http';
import { ask, type HttpAnswer } from './served/http-call.ts';

export type Phase = 'before' | 'during' | 'after';
export const PHASES: readonly Phase[] = ['before', 'during', 'after'];

export interface LoadOptions {
  /** Where the next request goes; undefined: nowhere, and it is not sent. */
  readonly target: () => string | undefined;
  readonly ratePerSecond: number;
  readonly count: number;
  /** Whether there is, or was, such a node. */
  readonly exists: (node: AnsweredNode) => boolean;
}

export interface AnsweredNode {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
}

export interface PhaseCounts {
  sent: number;
  answered: number;
  failed: number;
  /** Refused as the fault lets the server refuse. */
  refused: number;
  slowestMs: number;
  elapsedMs: number;
  readonly reasons: Map<string, number>;
}

interface SelectionAnswer {
  readonly generation: number;
  readonly ageMs: number;
  readonly nodes: readonly AnsweredNode[];
}

/** What an answer may say at the least. */
interface Least {
  readonly generation: number;
  readonly youngestMs: number;
}

const TICK_MS = 10;
const CONNECTIONS_MAX = 16;
/** Beyond it requests wait for answers: the rate falls, and shows in the counts. */
const UNDER_WAY_MAX = 64;
const TIMEOUT_MS = 5_000;
/**
 * Connections that nobody uses are given up here before the server does: a request on one that has just
 * been closed there fails. Without it Node's agent does not heed the time that the server names either.
 */
const IDLE_MS = 5_000;
/** Reasons kept of one phase. */
const REASONS_MAX = 20;
const REASON_CHARACTERS_MAX = 200;
/** Ages are sent in whole milliseconds. */
const AGE_ROUNDING_MS = 1;

export class HttpLoad {
  readonly #options: LoadOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_MS });
  readonly #counts = new Map<Phase, PhaseCounts>();
  #phase: Phase = 'before';
  #phaseSinceMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastTickMs = 0;
  #due = 0;
  #underWay = 0;
  /** The newest generation that has been seen, by target. */
  readonly #generations = new Map<string, number>();
  #silentSinceMs: number | undefined;
  #mayRefuse: (answer: HttpAnswer) => boolean = () => false;
  #mayFail: (error: Error) => boolean = () => false;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lastTickMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Counts start anew. */
  begin(): void {
    this.#counts.clear();
    this.#mayRefuse = () => false;
    this.#mayFail = () => false;
    this.#silentSinceMs = undefined;
    this.#phaseSinceMs = performance.now();
    this.#phase = 'before';
  }

  /** What is sent from now on is counted there. */
  enter(phase: Phase): void {
    const nowMs = performance.now();
    this.counts(this.#phase).elapsedMs += nowMs - this.#phaseSinceMs;
    this.#phaseSinceMs = nowMs;
    this.#phase = phase;
  }

  counts(phase: Phase): PhaseCounts {
    let counts = this.#counts.get(phase);
    if (counts === undefined) {
      counts = {
        sent: 0,
        answered: 0,
        failed: 0,
        refused: 0,
        slowestMs: 0,
        elapsedMs: 0,
        reasons: new Map(),
      };
      this.#counts.set(phase, counts);
    }
    return counts;
  }

  /** A process that has begun anew counts its generations anew. */
  forgetGenerations(): void {
    this.#generations.clear();
  }

  /** From that moment on nothing of the source can have come in: no answer may claim to be younger. */
  silentSince(atMs: number | undefined): void {
    this.#silentSinceMs = atMs;
  }

  /** Answers that are no failures until the next fault, and connections that may break. */
  allow(refusal: (answer: HttpAnswer) => boolean, failure: (error: Error) => boolean = () => false): void {
    this.#mayRefuse = refusal;
    this.#mayFail = failure;
  }

  /**
   * Any request may be lost until the next `allow`; says how many were. One whose connection was refused was
   * not: it was sent after the end, by who did not know of it yet.
   */
  allowLosses(): () => number {
    let lost = 0;
    this.allow(
      () => false,
      error => {
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') lost++;
        return true;
      },
    );
    return () => lost;
  }

  /** Resolves when every request of that phase has come to an end, well or not. */
  async settled(phase: Phase): Promise<void> {
    const counts = this.counts(phase);
    while (counts.sent > counts.answered + counts.refused + counts.failed) {
      await new Promise(resolve => setTimeout(resolve, TICK_MS));
    }
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    while (this.#underWay > 0) await new Promise(resolve => setTimeout(resolve, TICK_MS));
    this.#agent.destroy();
  }

  #tick(): void {
    const nowMs = performance.now();
    this.#due += ((nowMs - this.#lastTickMs) * this.#options.ratePerSecond) / 1_000;
    this.#lastTickMs = nowMs;
    while (this.#due >= 1) {
      this.#due--;
      const target = this.#options.target();
      if (target === undefined || this.#underWay >= UNDER_WAY_MAX) continue;
      void this.#send(target);
    }
  }

  async #send(target: string): Promise<void> {
    const counts = this.counts(this.#phase);
    const generation = this.#generations.get(target) ?? 0;
    const sentMs = performance.now();
    const silentSinceMs = this.#silentSinceMs;
    const atFirst = { mayRefuse: this.#mayRefuse, mayFail: this.#mayFail };
    counts.sent++;
    this.#underWay++;
    try {
      const path = `/v1/selection?count=${this.#options.count}`;
      const answer = await ask(target, path, { agent: this.#agent, timeoutMs: TIMEOUT_MS });
      counts.slowestMs = Math.max(counts.slowestMs, performance.now() - sentMs);
      if (answer.status !== 200 && (atFirst.mayRefuse(answer) || this.#mayRefuse(answer))) {
        counts.refused++;
        return;
      }
      const wrong = this.#wrong(target, answer, {
        generation,
        youngestMs: silentSinceMs === undefined ? 0 : sentMs - silentSinceMs - AGE_ROUNDING_MS,
      });
      if (wrong === undefined) counts.answered++;
      else fail(counts, wrong);
    } catch (error) {
      const failure = error as NodeJS.ErrnoException;
      if (atFirst.mayFail(failure) || this.#mayFail(failure)) counts.refused++;
      else {
        const seconds = ((performance.now() - sentMs) / 1_000).toFixed(1);
        fail(counts, `${failure.code ?? 'no code'}: ${failure.message}, after ${seconds} s`);
      }
    } finally {
      this.#underWay--;
    }
  }

  #wrong(target: string, answer: HttpAnswer, least: Least): string | undefined {
    if (answer.status !== 200) return `${answer.status} ${answer.text.slice(0, REASON_CHARACTERS_MAX)}`;
    const { nodes, generation, ageMs } = answer.json<SelectionAnswer>();
    if (nodes.length !== this.#options.count) return `${nodes.length} nodes`;
    if (new Set(nodes.map(({ id }) => id)).size !== nodes.length) return 'a node twice';
    const stranger = nodes.find(node => !this.#options.exists(node));
    if (stranger !== undefined) return 'a node that is none';
    if (nodes.some(({ ip, port }) => ip === '' || !(port > 0))) return 'a node without an address';
    if (generation < least.generation) return `generation ${generation} after ${least.generation}`;
    if (ageMs < least.youngestMs) {
      return `age ${ageMs} ms, when the source had been silent for ${Math.round(least.youngestMs)} ms`;
    }
    this.#generations.set(target, Math.max(this.#generations.get(target) ?? 0, generation));
    return undefined;
  }
}

function fail(counts: PhaseCounts, reason: string): void {
  counts.failed++;
  if (counts.reasons.size < REASONS_MAX) counts.reasons.set(reason, (counts.reasons.get(reason) ?? 0) + 1);
}
