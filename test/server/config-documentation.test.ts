/** The README's configuration table is the one that the key table makes. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configMarkdown } from '../../src/server/config/documentation.ts';
import { CONFIG_KEY_NAMES, faceName } from '../../src/server/config/table.ts';

const README = 'README.md';

test('documents every key, once', () => {
  const lines = configMarkdown().split('\n').slice(2);
  expect(lines.map(line => line.split('`')[1])).toEqual(CONFIG_KEY_NAMES.map(faceName));
});

test('the README holds the table between its marks', () => {
  const [, section] = /<!-- configuration: generated -->\s*([\s\S]*?)\s*<!-- configuration: end -->/.exec(
    readFileSync(README, 'utf8'),
  ) ?? [undefined, undefined];
  const upToDate = section === configMarkdown();
  expect(upToDate, 'run `npm run docs`').toBe(true);
});
