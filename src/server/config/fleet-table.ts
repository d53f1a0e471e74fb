/** The keys of a fleet: several servers over one table, of which one loads for all. */
import type { BusOptions } from '../../workers/bus/options.ts';
import { DEFAULT_FLEET } from '../../workers/fleet-options.ts';
import { boolean, fileObject, integer, text } from './key.ts';

export const FLEET_KEYS = {
  'fleet.bus': text<string | undefined>({
    default: undefined,
    accepts: 'redis://…, rediss://…, nats://…, tls://… or postgres://…',
    secret: true,
    description:
      'The existing engine that carries snapshots and changes between servers. With it one of them loads ' +
      'for all; without it each loads for itself.',
  }),
  'fleet.busUrlFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'File whose first line is that URL, for a URL with a password.',
  }),
  'fleet.busOptions': fileObject<Partial<BusOptions>>({
    default: {},
    accepts: 'an object',
    description: 'More about the bus: `passwordFile`, `tls`, `timeoutMs`, `pingEveryMs`, `prefix`, `schema`.',
  }),
  'fleet.name': text({
    default: DEFAULT_FLEET.name,
    accepts: 'up to 40 small letters, digits, dashes and underscores, a letter first',
    pattern: /^[a-z][a-z0-9_-]{0,39}$/,
    description: 'Servers of one fleet have the same; fleets that share an engine have different ones.',
  }),
  'fleet.electionUrl': text<string | undefined>({
    default: undefined,
    accepts: 'postgres://…',
    secret: true,
    description:
      'Database in which the loading server is elected, reached without a pooler; that of the source when ' +
      'absent.',
  }),
  'fleet.electionUrlFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'File whose first line is that URL.',
  }),
  'fleet.leaseMs': integer({
    default: DEFAULT_FLEET.leaseMs,
    min: 500,
    max: 60_000,
    unit: 'ms',
    description: 'A loading server that is gone is missed after so long.',
  }),
  'fleet.mayLead': boolean({
    default: true,
    description: 'False: this server never loads for the others.',
  }),
  'fleet.keyFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'Key that all servers share: what is not sealed with it is refused.',
  }),
  'fleet.address': text<string | undefined>({
    default: undefined,
    accepts: 'a URL or HOST:PORT',
    description: 'Where this server is reached, as `sortition fleet` shows it; its own URL when absent.',
  }),
  'fleet.loadsAtOnce': integer({
    default: DEFAULT_FLEET.loadsAtOnce,
    min: 1,
    max: 1_000,
    unit: 'servers',
    description: 'Servers that may load from the source at once, when the bus cannot help.',
  }),
  'fleet.loadAfterMs': integer<number | undefined>({
    default: undefined,
    min: 1_000,
    max: 2 ** 31 - 1,
    unit: 'ms',
    description:
      'A server whose content is older loads from the source itself; when absent it serves what it has.',
  }),
};
