/** The keys of the watchdog, and of its listener for probes. */
import { address, integer } from './key.ts';

/** Beside 0. */
export const STALL_MS_LEAST = 100;
export const HUNG_MS_LEAST = 1_000;

export const WATCHDOG_KEYS = {
  'probes.address': address({
    description:
      'A listener on a thread of its own for /livez, /readyz and /metrics, which answers whatever the HTTP ' +
      'threads are at; plain HTTP, open to everybody; port 0 takes a free one. Off when absent: then the ' +
      'data listener alone has them.',
  }),
  'watchdog.stallMs': integer({
    default: 5_000,
    min: 0,
    max: 600_000,
    unit: 'ms',
    description:
      'An event loop of the main thread that stands still for longer is logged with what it was at, and ' +
      'counted; /readyz at `probes.address` says no meanwhile; 100 at the least. 0: only a hang is one. ' +
      'Thousands of connections that always have a request under way make turns of up to two seconds, in ' +
      'which all are answered.',
  }),
  'watchdog.hungMs': integer({
    default: 30_000,
    min: 0,
    max: 3_600_000,
    unit: 'ms',
    description:
      'When it stands still for longer, /livez at `probes.address` says no; another HTTP thread that does ' +
      '(for 3 s at the least) is replaced; 1000 at the least. 0: never.',
  }),
};
