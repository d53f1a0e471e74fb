/** Where the entry files of threads are: `.ts` when run from source, `.js` when built. */

const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

export const LOADER_WORKER_URL = new URL(`./loader-worker.${EXTENSION}`, import.meta.url);
export const SELECTION_WORKER_URL = new URL(`./selection-worker.${EXTENSION}`, import.meta.url);
