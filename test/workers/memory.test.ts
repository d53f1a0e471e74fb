/** Memory over a long life: what a thousand publishes leave behind, in a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { figure } from '../support/figures.ts';

const MIB = 1024 * 1024;
/**
 * What the heap of the process itself may come to before its collector has found its pace (43 MiB were
 * measured).
 */
const SLACK_BYTES = 96 * MIB;
/**
 * A leak of a hundredth of a snapshot a publish would show: five hundred publishes are 510 MiB of snapshots.
 */
const SECOND_HALF_SLACK_BYTES = 24 * MIB;

test('a thousand publishes of ten thousand nodes keep the resident memory flat', async () => {
  const script = join(import.meta.dirname, '../support/publish-many.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--max-semi-space-size=4', script]);
  const { settled, first, second, generation } = JSON.parse(stdout);
  const shown = [settled, first, second].map(bytes => `${Math.round(bytes / MIB)} MiB`);
  figure(
    'G12',
    'resident after 10 of 1,000 publishes, at most in the first half and the second',
    shown.join(' → '),
  );
  expect(generation).toBe(1000);
  expect(Math.max(first, second) - settled).toBeLessThan(SLACK_BYTES);
  expect(second - first).toBeLessThan(SECOND_HALF_SLACK_BYTES);
});
