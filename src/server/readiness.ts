/** Whether the server is ready, and why not: one answer for probe, status, metrics and page. */
import type { AppContext } from './app-context.ts';
import type { Problem } from './routes/problem.ts';

/** Undefined: it is ready. */
export function unreadiness({ cache, options, phase }: AppContext): Problem | undefined {
  if (phase !== 'serving') return { code: 'DRAINING', detail: 'the server is about to stop' };
  if (cache.generation() === 0) {
    return {
      code: 'SNAPSHOT_NOT_READY',
      detail: `no generation has been published yet; ${loaderSays(cache)}`,
    };
  }
  const { readyAgeMaxMs } = options;
  const ageMs = cache.ageMs();
  if (readyAgeMaxMs === 0 || ageMs <= readyAgeMaxMs) return undefined;
  const age = `what is served is ${ageMs} ms old; the limit is ${readyAgeMaxMs} (readyAgeMaxMs)`;
  return { code: 'GENERATION_TOO_OLD', detail: `${age}; ${loaderSays(cache)}` };
}

function loaderSays(cache: AppContext['cache']): string {
  const { state, lastError } = cache.status();
  return lastError === undefined ? `the loader is ${state}` : `${lastError.code}: ${lastError.message}`;
}
