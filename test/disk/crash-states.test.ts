/**
 * Goal G6: whatever moment the machine stops at, and whatever it leaves on disk then, the snapshot file that
 * is found is the old one or the new one. The code that writes and reads is that of the product; the model of
 * the disk stands in test/support/crash-states.ts. Wrong versions of that code must all be found out.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SnapshotSigning } from '../../src/workers/snapshot-signature.ts';
import { CrashSurvey, type Survey, type SurveyOptions } from '../support/crash-survey.ts';
import { figure, seededBugFound } from '../support/figures.ts';
import { type SnapshotFileMutant, SnapshotFileMutants } from '../support/snapshot-file-mutants.ts';

/** Of each way to write, and of all together. */
const STATES_MIN = 1_000;
const ALL_STATES_MIN = 5_000;
const LONG_MS = 300_000;

const folder = mkdtempSync(join(tmpdir(), 'sortition-keys-'));
const SIGNING: SnapshotSigning = {
  keyFile: join(folder, 'private.pem'),
  publicKeyFiles: [join(folder, 'public.pem')],
};

beforeAll(() => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(SIGNING.keyFile!, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(SIGNING.publicKeyFiles[0]!, publicKey.export({ type: 'spki', format: 'pem' }));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function surveyed(options: SurveyOptions, mutant?: SnapshotFileMutant): Promise<Survey> {
  using files = new SnapshotFileMutants();
  using survey = new CrashSurvey(await files.load(mutant), options);
  return await survey.run();
}

const WAYS = {
  plain: () => ({}),
  signed: () => ({ signing: SIGNING }),
  'plain, the newest file damaged besides': () => ({ damages: true }),
  'signed, the newest file damaged besides': () => ({ signing: SIGNING, damages: true }),
  'on a file system without second names': () => ({ hasLinks: false }),
} as const satisfies Record<string, () => SurveyOptions>;
type Way = keyof typeof WAYS;

/** In which way each mutant is found out. */
const FOUND_OUT: Record<SnapshotFileMutant, Way> = {
  'a file that is not synced': 'plain',
  'a folder that is not synced': 'plain',
  'a file that is renamed before it is synced': 'plain',
  'a file that is overwritten in place': 'plain',
  'an old file that is moved away before the new one is there': 'plain, the newest file damaged besides',
  'an old file that replaces the one before it first': 'plain, the newest file damaged besides',
  'a signature that comes after its file': 'signed',
  'a signature whose name is not synced': 'signed',
  'signatures that are dropped too early': 'signed',
};
const states = new Map<string, number>();

describe('wherever the machine stops, the old generation or the new one is found:', () => {
  test.each(Object.keys(WAYS) as Way[])('%s', { timeout: LONG_MS }, async name => {
    const began = performance.now();
    const survey = await surveyed(WAYS[name]());
    expect(survey.problems).toEqual([]);
    expect(survey.states).toBeGreaterThan(STATES_MIN);
    expect(survey.writtenOn).toBeGreaterThan(0);
    states.set(name, survey.states);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.info(`${name}: ${survey.states} crash states, ${survey.writtenOn} written on, ${seconds} s`);
  });

  test('in thousands of states', () => {
    const all = [...states.values()].reduce((sum, count) => sum + count, 0);
    figure('G6', 'crash states, each the old or the new', all);
    expect(all).toBeGreaterThan(ALL_STATES_MIN);
  });
});

describe('found out is', () => {
  test.each(Object.entries(FOUND_OUT))('%s', { timeout: LONG_MS }, async (mutant, way) => {
    const { problems } = await surveyed(WAYS[way](), mutant as SnapshotFileMutant);
    expect(problems).not.toEqual([]);
    seededBugFound('G6');
  });

  test('a reader that believes every digest', { timeout: LONG_MS }, async () => {
    const { problems } = await surveyed({ damages: true, checksDigest: false });
    expect(problems.join()).toContain('one that was never written');
    seededBugFound('G6');
  });
});
