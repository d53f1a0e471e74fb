/**
 * Judges loads before they are published, by the named validators: what fails one is refused, and the last
 * good generation stays. Remembers what was served, so that a slow decline is seen too; how often a refused
 * load has come again; and an operator's word that the next refusal is wrong. Loader thread; no I/O.
 */
import { CacheError } from '../../engine/errors.ts';
import type { GuardOptions } from '../cache-options.ts';
import {
  type LoadFacts,
  type Past,
  type Served,
  servedOf,
  VALIDATOR_NAMES,
  VALIDATORS,
  type ValidatorName,
} from './validators.ts';

/** What one load may do that another may not. */
export interface LoadWaiver {
  /** Waives every validator that can be waived, for this load. */
  readonly acceptDrop: boolean;
  /** It comes before its time, because of changes: then it may not drop more than they may. */
  readonly isForced?: boolean;
}

/** An operator's word, given before the load that needs it. */
export interface Override {
  readonly validators: readonly ValidatorName[];
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

export interface GuardStatus {
  /** Loads refused, by validator. */
  readonly refusals: Readonly<Partial<Record<ValidatorName, number>>>;
  /** The newest load was refused: by which, and how often in a row with as many nodes. */
  readonly refusing: { readonly validators: readonly ValidatorName[]; readonly times: number } | null;
  /** Present until a load has used it, or its time is over. */
  readonly override: { readonly validators: readonly ValidatorName[]; readonly leftMs: number } | null;
}

const HOUR_MS = 3_600_000;
/** The past hour is kept by the minute. */
const MINUTE_MS = 60_000;
/** Two refused loads say the same when their counts differ by no more than this part. */
const SAME_RATIO = 0.02;

interface Problem {
  readonly validator: ValidatorName;
  readonly text: string;
}

/** What was served in one minute at the most. */
interface Minute {
  readonly atMs: number;
  most: Served;
}

export class DataGuard {
  readonly #settings: Required<GuardOptions>;
  readonly #now: () => number;
  readonly #refusals = new Map<ValidatorName, number>();
  /** What the last load had that came in its time, or was asked for; zeros before the first. */
  #lastLoad: Served = { eligible: 0, vetted: 0 };
  #minutes: Minute[] = [];
  #refusing:
    | { readonly validators: readonly ValidatorName[]; readonly served: Served; times: number }
    | undefined;
  #override: Override | undefined;

  /** `now`: monotonic milliseconds. */
  constructor(settings: Required<GuardOptions>, now: () => number) {
    this.#settings = settings;
    this.#now = now;
  }

  /**
   * Throws SNAPSHOT_REJECTED, naming each validator that the load fails, when it may not be published.
   * `current`: the generation that it would replace.
   */
  judge(facts: LoadFacts, current: Served, waiver: LoadWaiver): void {
    const isForced = waiver.isForced === true;
    const measure = isForced ? larger(this.#lastLoad, current) : current;
    const least = isForced ? this.#least(current) : current;
    const problems = this.#problems(facts, { current: measure, least, hourMost: this.#hourMost(current) });
    const waived = waiver.acceptDrop
      ? problems.filter(({ validator }) => VALIDATORS[validator].waivable)
      : [];
    const left = problems.filter(problem => !waived.includes(problem));
    if (left.length === 0 || this.#confirmed(left, servedOf(facts.nodes)) || this.#useOverride(left)) {
      // What was served before this is no measure any more where somebody has said that it is right.
      if (problems.length > 0) this.#minutes = [];
      this.#refusing = undefined;
      return;
    }
    for (const { validator } of left) this.#refusals.set(validator, (this.#refusals.get(validator) ?? 0) + 1);
    const field = VALIDATORS[left[0]!.validator].field;
    throw new CacheError('SNAPSHOT_REJECTED', textOf(left), { field });
  }

  /**
   * Judges a change of the current generation by the same rules; but measured by the last load, so that many
   * small changes are no way around the limit of one. It is no load: no override is used, and none confirmed.
   */
  judgeChange(facts: LoadFacts, current: Served): void {
    const measure = larger(this.#lastLoad, current);
    const least = this.#least(current);
    const problems = this.#problems(facts, { current: measure, least, hourMost: this.#hourMost(measure) });
    if (problems.length > 0) throw new CacheError('SNAPSHOT_REJECTED', textOf(problems));
  }

  /** The lesser of the last load and what is served; before a load, what is served. */
  #least(current: Served): Served {
    const { eligible, vetted } = this.#lastLoad;
    if (eligible === 0) return current;
    return { eligible: Math.min(eligible, current.eligible), vetted: Math.min(vetted, current.vetted) };
  }

  /** Whether so few nodes may be served before the next load, by the limit of one drop. */
  mayFall(eligible: number): boolean {
    return eligible >= Math.floor(this.#lastLoad.eligible * (1 - this.#settings.dropRatioMax));
  }

  /** A load is served from now on. One that changes have forced is measured by the one before it, still. */
  loaded(served: Served, isForced: boolean): void {
    if (!isForced) this.#lastLoad = served;
    this.published(served);
  }

  /** A generation with so many nodes is served from now on. */
  published(served: Served): void {
    const atMs = this.#now();
    const last = this.#minutes.at(-1);
    if (last === undefined || atMs - last.atMs >= MINUTE_MS) this.#minutes.push({ atMs, most: served });
    else last.most = larger(last.most, served);
    this.#minutes = this.#minutes.filter(minute => atMs - minute.atMs <= HOUR_MS);
  }

  /** The next load that would be refused by these validators, and by no other, is published. Once. */
  override(validators: readonly ValidatorName[], forMs: number): void {
    const fixed = validators.find(name => !VALIDATORS[name].waivable);
    if (fixed !== undefined) {
      throw new CacheError('REQUEST_INVALID', `"${fixed}" cannot be overridden: change its limit`, {
        field: 'validators',
      });
    }
    this.#override = { validators, untilMs: this.#now() + forMs };
  }

  status(): GuardStatus {
    const override = this.#livingOverride();
    return {
      refusals: Object.fromEntries(this.#refusals),
      refusing:
        this.#refusing === undefined
          ? null
          : { validators: this.#refusing.validators, times: this.#refusing.times },
      override:
        override === undefined
          ? null
          : { validators: override.validators, leftMs: Math.round(override.untilMs - this.#now()) },
    };
  }

  #problems(facts: LoadFacts, past: Past): Problem[] {
    const problems: Problem[] = [];
    for (const validator of VALIDATOR_NAMES) {
      const text = VALIDATORS[validator].problem(facts, past, this.#settings);
      if (text !== undefined) problems.push({ validator, text });
    }
    return problems;
  }

  /** The load before it, and the ones before that, were refused for the same, with as many nodes. */
  #confirmed(problems: readonly Problem[], served: Served): boolean {
    const validators = problems.map(({ validator }) => validator);
    const before = this.#refusing;
    const same =
      before !== undefined && validators.join() === before.validators.join() && alike(before.served, served);
    this.#refusing = { validators, served, times: same ? before.times + 1 : 1 };
    const { confirmations } = this.#settings;
    return (
      confirmations > 0 &&
      this.#refusing.times > confirmations &&
      validators.every(name => VALIDATORS[name].waivable)
    );
  }

  #useOverride(problems: readonly Problem[]): boolean {
    const override = this.#livingOverride();
    if (override === undefined) return false;
    if (!problems.every(({ validator }) => override.validators.includes(validator))) return false;
    this.#override = undefined;
    return true;
  }

  #livingOverride(): Override | undefined {
    if (this.#override !== undefined && this.#override.untilMs <= this.#now()) this.#override = undefined;
    return this.#override;
  }

  #hourMost(current: Served): Served {
    const since = this.#now() - HOUR_MS;
    return this.#minutes
      .filter(({ atMs }) => atMs >= since)
      .reduce((most, minute) => larger(most, minute.most), current);
  }
}

function textOf(problems: readonly Problem[]): string {
  return problems.map(({ text }) => text).join('; ');
}

function larger(a: Served, b: Served): Served {
  return { eligible: Math.max(a.eligible, b.eligible), vetted: Math.max(a.vetted, b.vetted) };
}

function alike(a: Served, b: Served): boolean {
  const near = (x: number, y: number) => Math.abs(x - y) <= SAME_RATIO * Math.max(x, y);
  return near(a.vetted, b.vetted) && near(a.eligible, b.eligible);
}
