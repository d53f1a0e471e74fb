/** The package's version, from the package.json above this file, wherever the build has put it. */
import { existsSync, readFileSync } from 'node:fs';

const LEVELS_MAX = 6;

export function packageVersion(): string {
  let url = new URL('package.json', import.meta.url);
  for (let level = 0; level < LEVELS_MAX; level++) {
    if (existsSync(url)) return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
    url = new URL('../package.json', url);
  }
  return 'unknown';
}
