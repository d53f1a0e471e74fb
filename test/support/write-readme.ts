/** Puts the generated configuration table between its marks in README.md: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { configMarkdown } from '../../src/server/config/documentation.ts';

const README = resolve(import.meta.dirname, '../../README.md');
const SECTION = /(<!-- configuration: generated -->)[\s\S]*(<!-- configuration: end -->)/;

const text = readFileSync(README, 'utf8');
writeFileSync(
  README,
  text.replace(SECTION, (_, start: string, end: string) => `${start}\n${configMarkdown()}\n${end}`),
);
