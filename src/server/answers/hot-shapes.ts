/**
 * Which requests are asked for most: those get a ring of prepared answers, and give it back when they cool
 * down. Known by what they ask for, not by how a URL spells it. HTTP threads only. Plain arithmetic on a hit;
 * all decisions fall in `review`, a few times a second.
 */
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import { coldest } from './coldest.ts';

/** Requests that are watched at once; when they are that many, the coldest makes room for a new one. */
export const SHAPES_MAX = 256;
/** A request asked for more often has its answers prepared; asked for less often, no longer. A second. */
export const HOT_PER_SECOND = 100;
export const COLD_PER_SECOND = 20;
/** What counts of the rate before, at each review: a burst is forgotten within a second. */
const KEPT = 0.5;
/** Below it nobody asks any more. */
const FORGOTTEN_PER_SECOND = 0.5;
/** Reviews for which a request that has no whole answer is left alone. */
const BARRED_REVIEWS = 5;
/** One without a ring takes the ring of another when it is so much hotter: rings do not go to and fro. */
const HOTTER = 2;

/** A request and its format, and how often it is asked for. */
export interface HotShape<Ring> {
  readonly key: string;
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
  /** Since the last review. */
  hits: number;
  perSecond: number;
  /** Absent: its answers are not prepared. */
  ring: Ring | undefined;
  watched: boolean;
  /** Reviews until it may have a ring again. */
  barred: number;
}

/** The same for requests that ask for the same. `exclude` and `held` are of one request alone: undefined. */
export function shapeKey(format: EncodedFormat, request: SelectionRequest): string | undefined {
  if (request.exclude !== undefined || request.held !== undefined) return undefined;
  const { count, newFraction, placement, distinct, partial, fillWithNew, order } = request;
  return JSON.stringify([
    format,
    count ?? null,
    newFraction ?? null,
    placement ?? null,
    distinct ?? null,
    partial === true,
    fillWithNew === true,
    order ?? 'random',
  ]);
}

/** Rings as this file needs them: given to a shape, and taken back. */
export interface RingOffice<Ring> {
  /** A ring that nobody has; undefined when there is none. */
  open(shape: HotShape<Ring>): Ring | undefined;
  close(ring: Ring): void;
}

export class HotShapes<Ring> {
  readonly #office: RingOffice<Ring>;
  readonly #watched = new Map<string, HotShape<Ring>>();

  constructor(office: RingOffice<Ring>) {
    this.#office = office;
  }

  get size(): number {
    return this.#watched.size;
  }

  /** Counts one request; returns the shape that is watched for it: `shape`, or its equal. */
  hit(shape: HotShape<Ring>): HotShape<Ring> {
    const watched = shape.watched ? shape : this.#watch(shape);
    watched.hits++;
    return watched;
  }

  /** Judges all by what has been asked for in the `elapsedMs` since the last review. */
  review(elapsedMs: number): void {
    const seconds = Math.max(elapsedMs, 1) / 1_000;
    for (const shape of this.#watched.values()) {
      shape.perSecond = KEPT * shape.perSecond + (1 - KEPT) * (shape.hits / seconds);
      shape.hits = 0;
      shape.barred = Math.max(0, shape.barred - 1);
      if (shape.ring !== undefined && shape.perSecond < COLD_PER_SECOND) this.#close(shape);
      if (shape.ring === undefined && shape.perSecond < FORGOTTEN_PER_SECOND) {
        this.#unwatch(shape);
      }
    }
    const waiting = [...this.#watched.values()]
      .filter(shape => shape.ring === undefined && shape.barred === 0 && shape.perSecond >= HOT_PER_SECOND)
      .sort((a, b) => b.perSecond - a.perSecond);
    for (const shape of waiting) {
      shape.ring = this.#office.open(shape);
      if (shape.ring === undefined && this.#displaceFor(shape)) shape.ring = this.#office.open(shape);
    }
  }

  /** Takes the ring of a shape, and gives it none for a while. */
  bar(shape: HotShape<Ring>): void {
    shape.barred = BARRED_REVIEWS;
    if (shape.ring !== undefined) this.#close(shape);
  }

  #watch(shape: HotShape<Ring>): HotShape<Ring> {
    const known = this.#watched.get(shape.key);
    if (known !== undefined) return known;
    if (this.#watched.size >= SHAPES_MAX && !this.#dropColdest()) return shape;
    shape.watched = true;
    shape.hits = 0;
    shape.perSecond = 0;
    this.#watched.set(shape.key, shape);
    return shape;
  }

  /** One that has a ring is watched as long as it has it. False when all have. */
  #dropColdest(): boolean {
    const dropped = coldest(this.#watched.values(), heatWithoutRing);
    if (dropped !== undefined) this.#unwatch(dropped);
    return dropped !== undefined;
  }

  #unwatch(shape: HotShape<Ring>): void {
    this.#watched.delete(shape.key);
    shape.watched = false;
  }

  #close(shape: HotShape<Ring>): void {
    this.#office.close(shape.ring!);
    shape.ring = undefined;
  }

  /** Takes the ring of the coldest, when that is much colder. */
  #displaceFor(shape: HotShape<Ring>): boolean {
    const other = coldest(this.#watched.values(), heatWithRing);
    if (other === undefined || other.perSecond * HOTTER > shape.perSecond) return false;
    this.#close(other);
    return true;
  }
}

/** What was counted since the last review counts beside what was counted before; infinite: does not go. */
function heatWithoutRing({ ring, perSecond, hits }: HotShape<unknown>): number {
  return ring === undefined ? perSecond + hits : Number.POSITIVE_INFINITY;
}

function heatWithRing({ ring, perSecond }: HotShape<unknown>): number {
  return ring === undefined ? Number.POSITIVE_INFINITY : perSecond;
}

export function newShape<Ring>(format: EncodedFormat, request: SelectionRequest): HotShape<Ring> | undefined {
  const key = shapeKey(format, request);
  if (key === undefined) return undefined;
  return { key, format, request, hits: 0, perSecond: 0, ring: undefined, watched: false, barred: 0 };
}
