/** Where the entry files of the server's threads are: `.ts` when run from source, `.js` when built. */

const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

export const HTTP_THREAD_URL = new URL(`./http-thread-worker.${EXTENSION}`, import.meta.url);
export const WATCHDOG_THREAD_URL = new URL(`../watchdog/watchdog-worker.${EXTENSION}`, import.meta.url);
