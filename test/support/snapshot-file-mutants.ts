/**
 * snapshot-file.ts, with synced-file.ts as one text, over a disk that is recorded, as it is and in wrong
 * versions made from that text. A mutant that no longer fits it is an error, so that none is lost when the
 * code changes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const FOLDER = resolve(import.meta.dirname, '../../src/workers');
const PARTS = ['synced-file.ts', 'snapshot-file.ts'];
const DISK = resolve(import.meta.dirname, 'recorded-disk.ts');

export type SnapshotFileModule = typeof import('../../src/workers/snapshot-file.ts');
type Replacement = readonly [was: string, is: string];

const WRITE = '    await writeSynced(temporary, packed);\n';
const KEEP = '    const kept = await keepOld(path, second);\n';
const NEW_TO_PATH = `${KEEP}    await rename(temporary, path);\n`;
const SECOND_NAME = "    await link(path, second);\n    return 'second name';\n";
const SECOND_TO_PREVIOUS = '      await rename(second, path + PREVIOUS_SUFFIX);\n';
const SIGNATURE_SYNCED = '      // On disk before a file is that needs it.\n      await syncFolder(path);\n';
const DROP = '  if (signature !== undefined) await dropSignatures(path, packed);\n';
const SIGNATURE = `      await writeSynced(temporary, signature);
      await rename(temporary, signaturePath(path, packed));
${SIGNATURE_SYNCED}`;

const unsynced = (path: string, flags: string) =>
  `    const bare = await open(${path}, '${flags}', FILE_MODE);\n    await bare.writeFile(packed);\n`;

export const SNAPSHOT_FILE_MUTANTS = {
  'a file that is not synced': [['    await file.sync();\n', '']],
  'a folder that is not synced': [['    await folder.sync();\n', '']],
  'a file that is renamed before it is synced': [
    [WRITE, unsynced('temporary', 'wx')],
    [NEW_TO_PATH, `${NEW_TO_PATH}    await bare.sync();\n    await bare.close();\n`],
  ],
  'a file that is overwritten in place': [
    [WRITE, ''],
    [NEW_TO_PATH, `${KEEP}${unsynced('path', 'w')}    await bare.sync();\n    await bare.close();\n`],
  ],
  'an old file that is moved away before the new one is there': [[SECOND_NAME, '']],
  'an old file that replaces the one before it first': [
    [KEEP, `${KEEP}    if (kept === 'second name') await rename(second, path + PREVIOUS_SUFFIX);\n`],
    [SECOND_TO_PREVIOUS, ''],
  ],
  'a signature that comes after its file': [
    [SIGNATURE, ''],
    [DROP, `  if (signature !== undefined) {\n${SIGNATURE}  }\n${DROP}`],
  ],
  'a signature whose name is not synced': [[SIGNATURE_SYNCED, '']],
  'signatures that are dropped too early': [
    [DROP, ''],
    [WRITE, `    if (signature !== undefined) await dropSignatures(path, packed);\n${WRITE}`],
  ],
} as const satisfies Record<string, readonly Replacement[]>;

export type SnapshotFileMutant = keyof typeof SNAPSHOT_FILE_MUTANTS;

/** Files of mutants, until they are disposed of. */
export class SnapshotFileMutants implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sortition-mutants-'));
  #files = 0;

  /** The module over the recorded disk; without a mutant it is as it is. */
  async load(mutant?: SnapshotFileMutant): Promise<SnapshotFileModule> {
    const file = join(this.#directory, `mutant-${this.#files++}.ts`);
    writeFileSync(file, mutated(mutant === undefined ? [] : SNAPSHOT_FILE_MUTANTS[mutant]));
    return (await import(pathToFileURL(file).href)) as SnapshotFileModule;
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function mutated(replacements: readonly Replacement[]): string {
  let text = joined(PARTS.map(name => readFileSync(join(FOLDER, name), 'utf8')));
  for (const [was, is] of [...replacements, ["from 'node:fs/promises'", `from '${DISK}'`] as const]) {
    if (text.split(was).length !== 2) throw new Error(`the sources do not have this once: ${was}`);
    text = text.replace(was, () => is);
  }
  // The file stands somewhere else now, and the modules that it uses do not.
  return text.replaceAll(
    / from '(\.[^']+|\/[^']+)'/g,
    (_, path) => ` from '${pathToFileURL(resolve(FOLDER, path)).href}'`,
  );
}

/**
 * One module of several that import from each other: what they import from elsewhere, once, and their bodies.
 */
function joined(texts: readonly string[]): string {
  const imported = new Map<string, Set<string>>();
  const bodies = texts.map(text =>
    text.replaceAll(/^import (type )?\{([^}]*)\} from '([^']+)';\n/gm, (_, type = '', names, module) => {
      if (PARTS.includes(module.replace('./', ''))) return '';
      const known = imported.get(module) ?? new Set();
      for (const name of names.split(',')) if (name.trim() !== '') known.add(type + name.trim());
      imported.set(module, known);
      return '';
    }),
  );
  const head = [...imported].map(
    ([module, names]) => `import { ${[...names].join(', ')} } from '${module}';\n`,
  );
  return [...head, ...bodies].join('');
}
