/** V8's own full collection, without a flag on the command line. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
// Else what has not run for some collections is compiled anew, and its next measurement pays.
setFlagsFromString('--no-flush-bytecode');

/** Collects all there is to collect; returns when it is done. */
export const collectGarbage = runInNewContext('gc') as () => void;
