/** Writes the generated C header: `node test/support/write-c-header.ts`. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { cHeader } from '../../native-layout/c-header.ts';

writeFileSync(resolve(import.meta.dirname, '../../native-layout/sortition-snapshot.h'), cHeader());
