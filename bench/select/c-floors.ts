/**
 * What the same answers cost in C: the program of `bench/floor/`, which draws the same words for the same
 * purposes and gives the same bytes. The first floor is compiled for this machine, with all that it can do;
 * another one for vectors of 128 bits, which is what WebAssembly has.
 */
import { DEFAULT_NEW_FRACTION } from '../../src/engine/placement/placement.ts';
import type { BlockedIds, Floor, FloorForm } from '../floor/floor.ts';
import type { BenchCase } from '../harness/measure.ts';

export interface FloorRequest {
  readonly form: FloorForm;
  readonly count: number;
  /** The default placement's by default. */
  readonly newFraction?: number;
  readonly blocked?: BlockedIds;
}

const NAMES: Readonly<Record<FloorForm, string>> = {
  select: 'select',
  records: 'records',
  json: 'JSON',
  messagepack: 'MessagePack',
};

const NS_PER_MS = 1e6;

/** Name of the result that others are measured against; `of` tells requests of one form apart. */
export function cFloorName(form: FloorForm, of = ''): string {
  return `floor: C, ${NAMES[form]}${of}`;
}

/** The request on each of the floors. */
export function cFloorCases(floors: readonly Floor[], request: FloorRequest, of = ''): BenchCase[] {
  return floors.map(floor => {
    const name = cFloorName(request.form, of);
    return {
      name: floor.build === 'native' ? name : `${name}, ${floor.build}`,
      time: ms => timed(floor, request, ms),
    };
  });
}

function timed(floor: Floor, request: FloorRequest, ms: number) {
  const { form, count, newFraction = DEFAULT_NEW_FRACTION, blocked = {} } = request;
  floor.draw(newFraction, true);
  floor.block(blocked);
  const { p50_ns, mean_ns, p99_ns, min_ns, calls_per_sample } = floor.time(form, count, ms);
  return {
    p50: p50_ns / NS_PER_MS,
    mean: mean_ns / NS_PER_MS,
    p99: p99_ns / NS_PER_MS,
    min: min_ns / NS_PER_MS,
    calls: calls_per_sample,
  };
}
