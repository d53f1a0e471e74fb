/** Where the entry file of the HTTP threads is: `.ts` when run from source, `.js` when built. */

const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

export const HTTP_THREAD_URL = new URL(`./http-thread-worker.${EXTENSION}`, import.meta.url);
