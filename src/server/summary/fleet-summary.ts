/** A fleet in a sentence and a table: what `sortition fleet` prints, and the page at `/` shows. */
import type { FleetDocument } from '../routes/fleet.ts';
import { duration } from './numbers.ts';

const DIGEST_CHARACTERS = 8;
const NONE = '-';

export const FLEET_COLUMNS = [
  'server',
  'address',
  'role',
  'position',
  'content',
  'age',
  'version',
  'state',
] as const;

/** What there is to say of the whole: first who it is, then what is wrong. */
export function fleetRemarks({ name, bus, election, problem, problems }: FleetDocument): string[] {
  return [
    `fleet ${name} over ${bus}, elected by ${election}`,
    ...(problem === undefined ? [] : [`the bus cannot be asked: ${problem}`]),
    ...problems.map(({ about, detail }) => `${about}: ${detail}`),
  ];
}

/** A row of FLEET_COLUMNS for each server. */
export function fleetRows({ replicas }: FleetDocument): string[][] {
  return replicas.map(other =>
    other.problem === undefined
      ? [
          `${other.host}:${other.pid}${other.self ? ' (this one)' : ''}`,
          other.address === '' ? NONE : String(other.address),
          String(other.role),
          other.position === undefined ? NONE : `${other.position.epoch}-${other.position.seq}`,
          other.digest?.slice(0, DIGEST_CHARACTERS) ?? NONE,
          other.ageMs === undefined ? NONE : duration(other.ageMs),
          String(other.program),
          other.lost ?? other.refusal ?? 'in step',
        ]
      : [other.replica, NONE, NONE, NONE, NONE, NONE, NONE, other.problem],
  );
}

/** The bus answers, and every server follows. */
export function isInStep({ problem, replicas }: FleetDocument): boolean {
  return (
    problem === undefined && replicas.every(other => other.problem === undefined && other.lost === undefined)
  );
}
