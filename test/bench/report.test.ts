/** `bench:report`: the plots are those of the results, byte for byte, and hold nothing that is no number. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  bytesText,
  countText,
  decades,
  linearScale,
  logScale,
  spread,
  timeText,
} from '../../bench/report/axis.ts';
import { withTables } from '../../bench/report/readme-tables.ts';
import { PLOTS, plots, README, readmeText } from '../../bench/report.ts';

describe('plots', () => {
  it('are the same bytes for the same results', () => {
    expect(plots()).toEqual(plots());
  });

  it('in the repository are those of the results beside them: npm run bench:report', () => {
    const kept = readdirSync(PLOTS).map(file => [file, readFileSync(resolve(PLOTS, file), 'utf8')] as const);
    expect(new Map(kept)).toEqual(plots());
  });

  it('and the tables of the README are those of the results too', () => {
    expect(readFileSync(README, 'utf8')).toBe(readmeText());
  });

  it('are whole: sizes, titles and texts for those who cannot see them, in light and dark', () => {
    for (const [file, text] of plots()) {
      if (!file.endsWith('.svg')) continue;
      expect(text, file).toMatch(/^<svg [^>]*width="800" height="\d+" viewBox="0 0 800 \d+"/);
      expect(text, file).toMatch(/<title id="title">[^<]+<\/title>\n<desc id="description">[^<]+<\/desc>/);
      expect(text, file).toContain('prefers-color-scheme: dark');
      expect(text, file).not.toMatch(/NaN|Infinity|undefined|null/);
      const opened = text.match(/<[a-z]/g)?.length;
      expect(text.match(/<\/[a-z]+>|\/>/g)?.length, file).toBe(opened);
    }
  });
});

describe('tables between marks', () => {
  const tables = new Map([
    ['a', '| a |'],
    ['b', '| b |'],
  ]);
  const place = (name: string) => `<!-- figures: ${name} -->\nold\n<!-- figures: end -->\n`;

  it('take the place of what stands there, in any order, and nothing else changes', () => {
    const text = `one\n${place('b')}two\n${place('a')}three\n`;
    const written = withTables(text, tables);
    expect(written.replaceAll(/\| [ab] \|/g, 'old')).toBe(text);
    expect(written.indexOf('| b |')).toBeLessThan(written.indexOf('| a |'));
    expect(withTables(written, tables)).toBe(written);
  });

  it.each([
    ['one is missing', place('a')],
    ['there is one more', place('a') + place('b') + place('c')],
    ['one is there twice', place('a') + place('b') + place('b')],
    ['an end is missing', place('b').replace('<!-- figures: end -->\n', 'kept\n') + place('a')],
  ])('are not written where %s', (_, text) => {
    expect(() => withTables(text, tables)).toThrow(/there are places for the figures/);
  });
});

describe('axes', () => {
  it('name times and counts with two digits and a unit', () => {
    expect([0.0763, 4.089, 99.78, 282.1, 5_767, 12_345_678].map(timeText)).toEqual([
      '0.076 µs',
      '4.1 µs',
      '100 µs',
      '282 µs',
      '5.8 ms',
      '12 s',
    ]);
    expect([831_328, 5_840_896].map(bytesText)).toEqual(['831 kB', '5.8 MB']);
    expect([7, 309, 2_020, 46_675, 1e7].map(countText)).toEqual(['7', '309', '2 k', '47 k', '10 M']);
  });

  it('span whole powers of ten', () => {
    expect(decades([3, 40, 950])).toEqual({ min: 1, max: 1_000, ticks: [1, 10, 100, 1_000] });
    expect(decades([10, 100])).toEqual({ min: 10, max: 100, ticks: [10, 100] });
  });

  it('map values to positions', () => {
    expect([1, 10, 100].map(logScale(1, 100, 0, 200))).toEqual([0, 100, 200]);
    expect([0, 5, 10].map(linearScale(10, 50, 150))).toEqual([50, 100, 150]);
  });

  it('keep labels apart, in order, and above the end', () => {
    expect(spread([10, 12, 50], 10, 100)).toEqual([10, 20, 50]);
    expect(spread([98, 97], 10, 100)).toEqual([100, 90]);
    expect(spread([], 10, 100)).toEqual([]);
  });
});
