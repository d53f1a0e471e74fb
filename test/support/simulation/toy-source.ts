/**
 * The toy database: a table that changes at random, whose reads take time and see one moment of it; an
 * election with leases; permits to load. It remembers every content that the table ever had, and when.
 */
import type { Random } from '../../../src/workers/fleet/clock.ts';
import type { Election, LoadPermits, Term } from '../../../src/workers/fleet/election/election.ts';
import { type Rows, ToyDigest } from './toy-content.ts';
import type { Cell, World } from './world.ts';

export interface Read {
  readonly rows: Rows;
  readonly digest: string;
}

export class ToySource {
  readonly #world: World;
  readonly #random: Random;
  readonly #rows = new Map<number, number>();
  readonly #digest = new ToyDigest();
  /** When the table last had the content; Infinity while it has. */
  readonly #lastHad = new Map<string, number>();
  /** When it first had it. */
  readonly #firstHad = new Map<string, number>();
  readonly #listeners = new Set<(gone: readonly number[]) => void>();
  #current: Read | undefined;
  isDown = false;
  /** Changes are not told of. */
  isMute = false;
  #nextId = 0;

  constructor(world: World, rowCount: number) {
    this.#world = world;
    this.#random = world.stream();
    for (let i = 0; i < rowCount; i++) this.#set(this.#nextId++, 1);
    this.#has(this.read().digest);
  }

  /** What the table is now. */
  read(): Read {
    this.#current ??= { rows: new Map(this.#rows), digest: this.#digest.text };
    return this.#current;
  }

  /** When the table last had the content `digest`; undefined if it never did. */
  lastHadAtMs(digest: string): number | undefined {
    return this.#lastHad.get(digest);
  }

  /** Whether content `a` is surely older than content `b`: the table never had it again when it had `b`. */
  isOlder(a: string, b: string): boolean {
    return (this.#lastHad.get(a) ?? 0) < (this.#firstHad.get(b) ?? 0);
  }

  #has(digest: string): void {
    this.#lastHad.set(digest, Number.POSITIVE_INFINITY);
    if (!this.#firstHad.has(digest)) this.#firstHad.set(digest, this.#world.nowMs);
  }

  /** Changes a few rows, or takes the last change back: so a content can come again. */
  change(): void {
    const before = this.read().digest;
    const count = 1 + Math.floor(4 * this.#random());
    const ids = [...this.#rows.keys()];
    for (let i = 0; i < count; i++) this.#changeOne();
    const gone = ids.filter(id => !this.#rows.has(id));
    this.#current = undefined;
    this.#lastHad.set(before, this.#world.nowMs);
    this.#has(this.read().digest);
    if (!this.isMute) for (const listener of this.#listeners) listener(gone);
  }

  /** `listener` is told which rows have gone; they never come back. */
  listen(listener: (gone: readonly number[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changeOne(): void {
    const dice = this.#random();
    const ids = [...this.#rows.keys()];
    const id = ids[Math.floor(ids.length * this.#random())]!;
    if (dice < 0.15) this.#set(this.#nextId++, 1);
    else if (dice < 0.25 && ids.length > 4) this.#remove(id);
    // Few values: contents come again.
    else this.#set(id, 1 + Math.floor(3 * this.#random()));
  }

  #set(id: number, value: number): void {
    this.#remove(id);
    this.#rows.set(id, value);
    this.#digest.add(id, value);
  }

  #remove(id: number): void {
    const value = this.#rows.get(id);
    if (value === undefined) return;
    this.#rows.delete(id);
    this.#digest.remove(id, value);
  }
}

/** How a cell reaches the database. */
export interface DatabaseRoad {
  isCut: boolean;
}

const ANSWER_MS = { least: 1, most: 8 };
const TIMEOUT_MS = 400;
export const LEASE_MS = 2_000;
/** A leader believes a little less than the database allows. */
const LEASE_MARGIN_MS = 100;
const PINGS_PER_LEASE = 3;

interface Office {
  readonly cell: Cell;
  readonly epoch: number;
  untilMs: number;
}

/** The election and the permits of the fleet. */
export class ToyOffices {
  readonly #world: World;
  readonly #source: ToySource;
  readonly #roads = new Map<Cell, DatabaseRoad>();
  #office: Office | undefined;
  #lastEpoch = 0;
  #permits = new Set<Cell>();
  /** Those whose last question was not answered. */
  readonly #unanswered = new Set<Cell>();
  readonly permitCount: number;

  constructor(world: World, source: ToySource, permitCount: number) {
    this.#world = world;
    this.#source = source;
    this.permitCount = permitCount;
  }

  join(cell: Cell, road: DatabaseRoad): void {
    this.#roads.set(cell, road);
  }

  /** The sessions of a process that was killed end with it; those of a machine that vanished do not. */
  leave(cell: Cell, hasVanished: boolean): void {
    if (this.#office?.cell === cell && !hasVanished) this.#office = undefined;
    this.#permits.delete(cell);
    this.#roads.delete(cell);
  }

  hasPermit(cell: Cell): boolean {
    return this.#permits.has(cell);
  }

  isUnanswered(cell: Cell): boolean {
    return this.#unanswered.has(cell);
  }

  /** The lock is lost without its holder hearing of it: the next one is elected while it still believes. */
  drop(): void {
    this.#office = undefined;
  }

  /** The database was set back: epochs come again. */
  setBack(): void {
    this.#lastEpoch = Math.max(0, this.#lastEpoch - 3);
    this.#office = undefined;
  }

  election(cell: Cell): Election {
    return {
      description: 'toy',
      attempt: async () => await this.#attempt(cell),
      rest: async () => undefined,
      close: async () => undefined,
    };
  }

  permits(cell: Cell): LoadPermits {
    return { acquire: signal => this.#acquire(cell, signal) };
  }

  async #attempt(cell: Cell): Promise<Term | undefined> {
    const sentAtMs = cell.clock.nowMs();
    const epoch = await this.#ask(cell, () => {
      const isFree = this.#office === undefined || this.#office.untilMs <= this.#world.nowMs;
      if (!isFree) return undefined;
      this.#office = { cell, epoch: ++this.#lastEpoch, untilMs: this.#world.nowMs + LEASE_MS };
      this.#world.note(`${cell.name} is elected`);
      return this.#lastEpoch;
    });
    return epoch === undefined ? undefined : this.#term(cell, epoch, sentAtMs);
  }

  #term(cell: Cell, epoch: number, sentAtMs: number): Term {
    const lost = new AbortController();
    let answeredAtMs = sentAtMs;
    const stillHeld = () =>
      !lost.signal.aborted && cell.clock.nowMs() - answeredAtMs < LEASE_MS - LEASE_MARGIN_MS;
    const keep = async () => {
      while (!lost.signal.aborted) {
        await cell.sleep(LEASE_MS / PINGS_PER_LEASE);
        const askedAtMs = cell.clock.nowMs();
        const isHeld = await this.#ask(cell, () => this.#renew(cell, epoch)).catch(() => undefined);
        if (isHeld === true) answeredAtMs = askedAtMs;
        if (isHeld === false || !stillHeld()) lost.abort();
      }
    };
    void keep();
    const resign = async () => {
      lost.abort();
      await this.#ask(cell, () => {
        if (this.#office?.cell === cell && this.#office.epoch === epoch) this.#office = undefined;
      }).catch(() => undefined);
    };
    return { epoch, lost: lost.signal, stillHeld, resign };
  }

  #renew(cell: Cell, epoch: number): boolean {
    const office = this.#office;
    const isHeld = office?.cell === cell && office.epoch === epoch && office.untilMs > this.#world.nowMs;
    if (isHeld) office.untilMs = this.#world.nowMs + LEASE_MS;
    return isHeld;
  }

  async #acquire(cell: Cell, signal: AbortSignal): Promise<() => Promise<void>> {
    while (!signal.aborted) {
      const isGiven = await this.#ask(cell, () => {
        if (this.#permits.has(cell) || this.#permits.size >= this.permitCount) return false;
        this.#permits.add(cell);
        return true;
      });
      const giveBack = async () => {
        this.#permits.delete(cell);
      };
      if (isGiven && !signal.aborted) return giveBack;
      if (isGiven) await giveBack();
      await cell.sleep(20 + 100 * cell.random());
    }
    throw new Error('stopped');
  }

  /** A question to the database and its answer. */
  #ask<T>(cell: Cell, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = () => {
        this.#unanswered.add(cell);
        cell.deliver(() => reject(new Error('the database does not answer')));
      };
      const cancel = this.#world.after(TIMEOUT_MS, fail);
      this.#world.after(cell.span(ANSWER_MS.least, ANSWER_MS.most), () => {
        if (this.#source.isDown || this.#roads.get(cell)?.isCut !== false || cell.state === 'dead') return;
        const value = work();
        this.#world.after(cell.span(ANSWER_MS.least, ANSWER_MS.most), () => {
          if (this.#roads.get(cell)?.isCut !== false) return;
          cancel();
          this.#unanswered.delete(cell);
          cell.deliver(() => resolve(value));
        });
      });
    });
  }
}
