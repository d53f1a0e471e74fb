/** Metrics of a server in its fleet; none where it loads for itself. */
import type { FleetStatus } from '../workers/fleet/member.ts';
import type { FleetProblem } from '../workers/fleet-link.ts';
import type { Metric } from './metric.ts';
import type { Totals } from './totals.ts';

type Reading = () => Totals;

const PROBLEMS: readonly FleetProblem['about'][] = ['bus', 'bus setup', 'source'];

export function fleetGauges(totals: Reading): Metric[] {
  const single = (name: string, help: string, value: (fleet: FleetStatus) => number): Metric => ({
    name: `fleet_${name}`,
    help,
    samples: () => {
      const { fleet } = totals().cache.status();
      return fleet === undefined ? [] : [[{}, value(fleet)]];
    },
  });
  return [
    single('leader', '1 on the server that loads for the fleet.', ({ role }) => Number(role === 'leader')),
    single('in_step', '1 while what is served is the content of the log.', ({ lost }) =>
      Number(lost === undefined),
    ),
    single('refusing', '1 while something of the log is refused.', ({ refusal }) =>
      Number(refusal !== undefined),
    ),
    {
      name: 'fleet_problem',
      help: '1 while there is one with the bus, its setup, or the source.',
      labels: ['about'],
      samples: () => {
        const { fleet } = totals().cache.status();
        if (fleet === undefined) return [];
        return PROBLEMS.map(
          about => [{ about }, Number(fleet.problems.some(problem => problem.about === about))] as const,
        );
      },
    },
    single('epoch', 'Highest epoch of a leader that was seen.', ({ epoch }) => epoch),
    single('sequence', 'Position in the log within its epoch.', ({ position }) => position?.seq ?? 0),
    single(
      'replicas',
      'Servers in the fleet, as the leader hears of them.',
      ({ replicaCount }) => replicaCount,
    ),
    single(
      'asks',
      'Revocations, and ends of them, that were asked for here and that not all servers know of yet.',
      ({ askCount }) => askCount,
    ),
  ];
}

export function fleetCounters(totals: Reading): Metric[] {
  const counted = (
    name: string,
    help: string,
    value: (counters: FleetStatus['counters']) => number,
  ): Metric => ({
    name: `fleet_${name}_total`,
    help,
    samples: () => {
      const { fleet } = totals().cache.status();
      return fleet === undefined ? [] : [[{}, value(fleet.counters)]];
    },
  });
  return [
    {
      name: 'fleet_refused_total',
      help: 'Messages and snapshots that were refused, by reason.',
      labels: ['reason'],
      samples: () =>
        Object.entries(totals().cache.status().fleet?.counters.refused ?? {}).map(
          ([reason, count]) => [{ reason }, count] as const,
        ),
    },
    counted('deltas', 'Deltas taken from the log.', ({ deltasTaken }) => deltasTaken),
    counted('snapshots', 'Snapshots taken from the bus.', ({ snapshotsTaken }) => snapshotsTaken),
    counted('mismatches', 'Times that what was held was not what the log goes on from.', one => one.mismatch),
    counted('gaps', 'Times that the log had lost what comes next.', ({ gap }) => gap),
    counted('stale_records', 'Records of a leader whose time was over.', ({ staleEpoch }) => staleEpoch),
    counted(
      'own_loads_unpermitted',
      'Of them, those without a permit: nobody could be asked for one.',
      ({ ownLoadsUnpermitted }) => ownLoadsUnpermitted,
    ),
    counted('own_loads', 'Loads from the source without being leader.', ({ ownLoads }) => ownLoads),
    counted('bus_failures', 'Calls of the bus that failed.', ({ busFailed }) => busFailed),
    counted('election_failures', 'Attempts at election that failed.', ({ electionFailed }) => electionFailed),
    counted('terms', 'Times that this server was elected.', ({ terms }) => terms),
  ];
}
