/** What a fleet is set to: names, times and limits, with their defaults. Any thread. */
import type { Bus } from '../bus/bus.ts';
import type { FleetClock, Random } from './clock.ts';
import type { Election, LoadPermits } from './election/election.ts';
import type { ReplicaStore } from './store.ts';
import type { Sealer } from './wire/seal.ts';

/** Who this replica is, for its heartbeat. */
export interface ReplicaIdentity {
  /** Of one process, and of no other in the fleet. */
  readonly replica: string;
  readonly host: string;
  readonly pid: number;
  readonly program: string;
  /** LAYOUT_VERSION of the snapshots that this program writes and reads. */
  readonly layout: number;
  /** Where its HTTP port is reached; empty where it has none. */
  readonly address: string;
}

export interface FleetTimes {
  /** A leader that has nothing to say says so this often: it bounds how long a lost record goes unnoticed. */
  readonly idleEveryMs: number;
  /** A leader that is not heard of for so long may be gone: replicas stand for election. */
  readonly silenceMs: number;
  /** Between two attempts to be elected, at the most; at random down to half of it. */
  readonly attemptEveryMs: number;
  /** What a new leader spends on catching up with the log before it goes to the source. */
  readonly catchUpMs: number;
  /** A leader that cannot reach the bus for so long gives its office back. */
  readonly busLostMs: number;
  /** A leader looks this often whether the bus still has what was written. */
  readonly auditEveryMs: number;
  readonly beatEveryMs: number;
  readonly beatExpiresMs: number;
  /** A heartbeat that something has happened for comes no sooner than this after the one before. */
  readonly beatPauseMs: number;
  /** A leader reads the heartbeats this often; less often in a large fleet. */
  readonly readBeatsEveryMs: number;
  /** A replica asks the bus for its newest position this often, as proof of ages. */
  readonly probeEveryMs: number;
  /** A log without a record for so long is read anew. */
  readonly stallMs: number;
  /** Pauses after failures: at random up to the first, doubling up to the longest. */
  readonly backoffFirstMs: number;
  readonly backoffLongestMs: number;
  /** And after loads from the source that failed. */
  readonly loadBackoffLongestMs: number;
  /** Replicas that need a snapshot fetch it at a random moment of this time; leaders of many ask for more. */
  readonly fetchSpreadMs: number;
  /** A replica that has nothing for so long loads from the source itself, as permits allow. */
  readonly startLoadAfterMs: number;
  /** Or without a permit, where nobody can be asked for one for so long: up to twice that, at random. */
  readonly startUnpermittedAfterMs: number;
  /** And one whose content is older than this. Absent: it serves what it has until it is told to reload. */
  readonly loadAfterMs?: number | undefined;
  /** Two snapshots that replicas wished for are at least so far apart; doubling while they go on wishing. */
  readonly wishPauseMs: number;
  readonly wishPauseLongestMs: number;
  /** After it, a blob goes away by itself. Snapshots are renewed at a third of it. */
  readonly blobExpiresMs: number;
}

export interface FleetLimits {
  /** A snapshot follows so many deltas, */
  readonly deltasPerSnapshot: number;
  /** or records of any kind, */
  readonly recordsPerSnapshot: number;
  /** or deltas that are together so much of the snapshot's size. */
  readonly deltaBytesRatio: number;
  /** Deltas that wait for the bus: beyond either, they are dropped for a snapshot. */
  readonly pendingDeltas: number;
  readonly pendingBytes: number;
  /** Replicas that contend when a leader is gone; more as time passes. */
  readonly candidates: number;
  readonly candidatesMost: number;
  /** Bytes a second that all replicas together fetch of a snapshot: what the spread is reckoned from. */
  readonly fetchBytesPerSecond: number;
}

export const FLEET_TIMES: FleetTimes = {
  idleEveryMs: 1_000,
  silenceMs: 1_600,
  attemptEveryMs: 400,
  catchUpMs: 600,
  busLostMs: 3_000,
  auditEveryMs: 1_000,
  beatEveryMs: 5_000,
  beatExpiresMs: 15_000,
  beatPauseMs: 500,
  readBeatsEveryMs: 1_000,
  probeEveryMs: 5_000,
  stallMs: 2_500,
  backoffFirstMs: 50,
  backoffLongestMs: 1_000,
  loadBackoffLongestMs: 10_000,
  fetchSpreadMs: 200,
  startLoadAfterMs: 2_000,
  startUnpermittedAfterMs: 10_000,
  wishPauseMs: 1_000,
  wishPauseLongestMs: 60_000,
  blobExpiresMs: 3_600_000,
};

export const FLEET_LIMITS: FleetLimits = {
  deltasPerSnapshot: 100,
  recordsPerSnapshot: 1_000,
  deltaBytesRatio: 0.5,
  pendingDeltas: 1_000,
  pendingBytes: 2 ** 26,
  candidates: 5,
  candidatesMost: 32,
  fetchBytesPerSecond: 500_000_000,
};

/** Something that happened, for the log and the counters. */
export interface FleetEvent {
  readonly kind:
    | 'role'
    | 'in-step'
    | 'lost'
    | 'refused'
    | 'bus-failed'
    | 'election-failed'
    | 'source-failed'
    | 'snapshot-published'
    | 'snapshot-taken'
    | 'chain-restarted';
  readonly detail: string;
}

/** Everything that the machines of a fleet are given. */
export interface FleetContext {
  readonly identity: ReplicaIdentity;
  readonly bus: Bus;
  readonly election: Election;
  readonly permits: LoadPermits;
  readonly store: ReplicaStore;
  readonly sealer: Sealer;
  readonly clock: FleetClock;
  readonly random: Random;
  readonly times: FleetTimes;
  readonly limits: FleetLimits;
  /** False: this replica never leads. */
  readonly mayLead: boolean;
  readonly report: (event: FleetEvent) => void;
}
