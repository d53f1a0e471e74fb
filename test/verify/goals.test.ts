/** The table of goals itself: every test that it names is there, and what no other test can count. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { AssertionError, assert } from '../../src/engine/assert.ts';
import { figure, type GoalId } from '../support/figures.ts';
import { GOALS } from './goals.ts';

const ROOT = resolve(import.meta.dirname, '../..');

test('every goal has tests that are there', () => {
  const missing = Object.values(GOALS).flatMap(({ tests }) =>
    tests.filter(path => !existsSync(join(ROOT, path))),
  );
  expect(missing).toEqual([]);
});

test('every figure is said by a test of its goal', () => {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  for (const name of files.filter(file => file.endsWith('.test.ts'))) {
    const path = join('test', name);
    for (const [, goal] of readText(path).matchAll(/\b(?:figure|seededBugFound)\('(G\d+)'/g)) {
      const { tests } = GOALS[goal as GoalId]!;
      expect([path, goal, tests.some(test => path.startsWith(test))]).toEqual([path, goal, true]);
    }
  }
});

test('assertions throw in production, too', () => {
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  try {
    expect(() => assert(false, 'never')).toThrow(AssertionError);
  } finally {
    process.env.NODE_ENV = before;
  }
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const texts = sources.filter(name => name.endsWith('.ts')).map(name => readText(join('src', name)));
  figure('G15', 'assertions', texts.join('\n').match(/(?<!function )\bassert\(/g)!.length);
});

/** Every sentence of the README's promises is backed by goals that are there. */
test('every promise of the README names its goals', () => {
  const section = readText('README.md').match(/^## Promises\n([\s\S]*?)^## /m)?.[1] ?? '';
  const promises = section.split('\n').filter(line => line.startsWith('- '));
  expect(promises.length).toBeGreaterThan(3);
  for (const promise of section
    .trim()
    .split(/\n(?=- )/)
    .filter(text => text.startsWith('- '))) {
    const named = promise.match(/\bG\d+\b/g) ?? [];
    expect([promise, named.length]).not.toEqual([promise, 0]);
    for (const name of named) expect(Object.keys(GOALS)).toContain(name);
  }
});

function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

test('the track record names tests that are there', () => {
  const named = readText('test/track-record.md').match(/(?<=`)test\/[\w./-]+/g)!;
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(path => !existsSync(join(ROOT, path)))).toEqual([]);
});
