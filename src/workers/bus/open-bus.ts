/** Every kind of bus, by its options. A new one is one file plus its line here. Drivers load when used. */
import { CacheError } from '../../engine/errors.ts';
import { didYouMean } from '../source/nearest.ts';
import { checkObject, invalidOption } from '../source/option-checks.ts';
import type { Bus } from './bus.ts';
import {
  BUS_KINDS,
  type BusOptions,
  resolveNatsBus,
  resolvePostgresBus,
  resolveRedisBus,
} from './options.ts';

export type { BusOptions } from './options.ts';

/**
 * Nothing is connected yet: an engine that is away shows at the first call. Throws CONFIG_INVALID with the
 * key at fault in `field`, and BUS_DENIED when `urlFile` cannot be read.
 */
export async function openBus(options: BusOptions): Promise<Bus> {
  checkObject(options, 'bus');
  switch (options.kind) {
    case 'redis': {
      const resolved = resolveRedisBus(options);
      return await (await import('./redis-bus.ts')).openRedisBus(resolved);
    }
    case 'nats': {
      const resolved = resolveNatsBus(options);
      return await (await import('./nats-bus.ts')).openNatsBus(resolved);
    }
    case 'postgres': {
      const resolved = resolvePostgresBus(options);
      return await (await import('./postgres-bus.ts')).openPostgresBus(resolved);
    }
    default: {
      const kind = String((options as { kind?: unknown }).kind);
      const suggestion = didYouMean(kind, BUS_KINDS);
      throw invalidOption('kind', `"${kind}" is no kind of bus${suggestion}: expected ${listed()}`);
    }
  }
}

const SCHEMES = 'redis://, rediss://, nats://, tls://, postgres:// or postgresql://';

/** The options that the text of `--bus` means: a URL. */
export function parseBusText(text: string): BusOptions {
  const [, scheme = ''] = /^([a-z]+):\/\//i.exec(text) ?? [];
  const url = text.replace(/^[^:]+/, scheme.toLowerCase());
  switch (scheme.toLowerCase()) {
    case 'redis':
    case 'rediss':
      return { kind: 'redis', url };
    case 'nats':
    case 'tls':
      return { kind: 'nats', url };
    case 'postgres':
    case 'postgresql':
      return { kind: 'postgres', url };
    default: {
      // The rest may hold a password.
      const shown = text.includes('://') ? `${text.split('://', 1)[0]}://…` : text;
      const detail = `"${shown}" is no bus: expected ${SCHEMES}`;
      throw new CacheError('CONFIG_INVALID', detail, { field: 'bus' });
    }
  }
}

function listed(): string {
  return BUS_KINDS.map(kind => `"${kind}"`).join(', ');
}
