/**
 * What one HTTP thread has counted and holds now, as plain data, and the sum over threads: status and metrics
 * are of all of them together. A thread that has ended leaves what it counted behind.
 */
import type { PreparedCounts } from './answers/prepared-answers.ts';
import type { AppContext } from './app-context.ts';
import {
  Counters,
  DENIAL_CODES,
  type DenialCode,
  type RequestCount,
  type SelectionCount,
} from './counters.ts';

export interface ThreadReport {
  readonly selections: readonly SelectionCount[];
  readonly picks: number;
  readonly poolFallbacks: number;
  readonly shed: number;
  readonly denied: Readonly<Record<DenialCode, number>>;
  readonly requests: readonly RequestCount[];
  readonly prepared: PreparedCounts | undefined;
  /** What it holds now; gone with the thread. */
  readonly waitingBytes: number;
  readonly connections: number;
}

export function threadReport(context: AppContext): ThreadReport {
  const { counters, departures, prepared } = context;
  return {
    selections: counters.selections,
    picks: counters.picks,
    poolFallbacks: counters.poolFallbacks,
    shed: counters.shed,
    denied: { ...counters.denied },
    requests: [...counters.requests()],
    prepared: prepared?.counts(),
    waitingBytes: departures.waitingBytes,
    connections: context.connections.open,
  };
}

/** Of a thread that has not said anything yet. */
export function emptyReport(): ThreadReport {
  const { selections, picks, poolFallbacks, shed, denied } = new Counters();
  return {
    selections,
    picks,
    poolFallbacks,
    shed,
    denied,
    requests: [],
    prepared: undefined,
    waitingBytes: 0,
    connections: 0,
  };
}

/** What is left of a thread that has ended. */
export function endedReport(report: ThreadReport): ThreadReport {
  const { prepared } = report;
  return {
    ...report,
    waitingBytes: 0,
    connections: 0,
    prepared: prepared && { ...prepared, rings: 0, ringsUsed: 0, ready: 0, slots: 0 },
  };
}

/** `reports` has one at the least. */
export function summedReport(reports: readonly ThreadReport[]): ThreadReport {
  const sum = (pick: (report: ThreadReport) => number) =>
    reports.reduce((total, report) => total + pick(report), 0);
  const preparing = reports.flatMap(({ prepared }) => (prepared === undefined ? [] : [prepared]));
  return {
    selections: reports[0]!.selections.map((entry, index) => ({
      ...entry,
      count: sum(({ selections }) => selections[index]!.count),
    })),
    picks: sum(({ picks }) => picks),
    poolFallbacks: sum(({ poolFallbacks }) => poolFallbacks),
    shed: sum(({ shed }) => shed),
    denied: Object.fromEntries(DENIAL_CODES.map(code => [code, sum(({ denied }) => denied[code])])) as Record<
      DenialCode,
      number
    >,
    requests: summedRequests(reports),
    prepared: preparing.length === 0 ? undefined : summedPrepared(preparing),
    waitingBytes: sum(({ waitingBytes }) => waitingBytes),
    connections: sum(({ connections }) => connections),
  };
}

/** Threads meet routes in different orders. */
function summedRequests(reports: readonly ThreadReport[]): RequestCount[] {
  const sums = new Map<string, RequestCount>();
  for (const { route, statusClass, count } of reports.flatMap(({ requests }) => requests)) {
    const key = `${route} ${statusClass}`;
    sums.set(key, { route, statusClass, count: (sums.get(key)?.count ?? 0) + count });
  }
  return [...sums.values()];
}

function summedPrepared(parts: readonly PreparedCounts[]): PreparedCounts {
  const sum = (pick: (part: PreparedCounts) => number) =>
    parts.reduce((total, part) => total + pick(part), 0);
  return {
    drops: {
      generation: sum(({ drops }) => drops.generation),
      revoked: sum(({ drops }) => drops.revoked),
      tenancy: sum(({ drops }) => drops.tenancy),
    },
    rings: sum(({ rings }) => rings),
    ringsUsed: sum(({ ringsUsed }) => ringsUsed),
    ready: sum(({ ready }) => ready),
    slots: sum(({ slots }) => slots),
  };
}

/** Answers by the way they took. */
export function waysOf({ selections }: ThreadReport): Record<SelectionCount['way'], number> {
  const sum = (way: SelectionCount['way']) =>
    selections.reduce(
      (total, entry) => total + (entry.way === way && entry.outcome !== 'refused' ? entry.count : 0),
      0,
    );
  return { prepared: sum('prepared'), inPlace: sum('inPlace'), pool: sum('pool') };
}

/** Selections that found fewer nodes than asked for, fine or not. */
export function shortagesOf({ selections }: ThreadReport): number {
  return selections.reduce(
    (total, { outcome, count }) => total + (outcome === 'shortage' || outcome === 'partial' ? count : 0),
    0,
  );
}
