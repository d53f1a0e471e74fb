/**
 * Wrong versions of publication.ts, made from its own text: what proofs and races must catch. A mutant that
 * no longer fits the text is an error, so that none is lost when the code changes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Publication } from './publication-programs.ts';

const SOURCE = resolve(import.meta.dirname, '../../src/engine/publication.ts');

type Replacement = readonly [was: string, is: string];

const ANNOUNCE = '      this.#words.store(this.#leaseWord, current);\n';
const RETURN_SLOT = '    return current - 1;\n  }\n\n  /** Gives the seat back';
const LEASE_IS_BUSY = '      if (lease !== NONE) busy[lease - 1] = 1;\n';
const GIVE_OUT = '    this.#words.store(CONTROL_WORD.GENERATION, generation);\n';
const MAKE_CURRENT = '    this.#words.store(CONTROL_WORD.CURRENT, slot + 1);\n';
const LET_GO = '    this.#words.store(this.#leaseWord, NONE);\n';
const GIVE_UP = '    this.#words.store(ownerWord(this.#seat), NONE);\n';
const REAP_LEASE = '    words.store(leaseWord(seat), NONE);\n';
const REAP_SEAT = '    words.store(ownerWord(seat), NONE);\n';
const RESCAN = `    const slot = busy.findIndex((taken, candidate) => {
      if (taken === 1) return false;
      for (let seat = 0; seat < this.#seats; seat++) {
        if (this.#words.load(leaseWord(seat)) === candidate + 1) return false;
      }
      return true;
    });
`;

export const CODE_MUTANTS = {
  'a reader that does not announce its lease': [[ANNOUNCE, '']],
  'a reader that does not confirm': [
    ['      current = this.#words.load(CONTROL_WORD.CURRENT);\n    }', '    }'],
  ],
  'a reader that confirms once, and takes what it then finds': [
    ['while (current !== this.#leased) {', 'if (current !== this.#leased) {'],
  ],
  'a reader that confirms before it announces': [
    [ANNOUNCE, ''],
    [RETURN_SLOT, `    this.#words.store(this.#leaseWord, current);\n${RETURN_SLOT}`],
  ],
  'a reader that does not count its moves': [['      this.#moves++;\n', '']],
  'a publisher that does not look at the leases': [[LEASE_IS_BUSY, '']],
  'a publisher that does not look at the last lease': [
    [
      'for (let seat = 0; seat < this.#seats; seat++) {',
      'for (let seat = 0; seat < this.#seats - 1; seat++) {',
    ],
  ],
  'a publisher that may write the current slot': [['    if (current !== NO_SLOT) busy[current] = 1;\n', '']],
  'a publisher that looks at the leases anew for every slot': [
    [LEASE_IS_BUSY, '      if (lease > busy.length) break;\n'],
    ['    const slot = busy.indexOf(0);\n', RESCAN],
  ],
  'a publisher that never forgets what was busy': [['    busy.fill(0);\n', '']],
  'a slot too few': [['new Uint8Array(slotCountFor(seats))', 'new Uint8Array(slotCountFor(seats) - 1)']],
  'a publisher that gives the number out last': [
    [GIVE_OUT, ''],
    [MAKE_CURRENT, MAKE_CURRENT + GIVE_OUT],
  ],
  'a seat that is claimed in two steps': [
    [
      'words.compareExchange(ownerWord(seat), NONE, threadId + 1) === NONE) return',
      'words.load(ownerWord(seat)) === NONE && (words.store(ownerWord(seat), threadId + 1), true)) return',
    ],
  ],
  'a seat that is given up before its lease': [
    [LET_GO, ''],
    [GIVE_UP, GIVE_UP + LET_GO],
  ],
  'a seat that is given up with its lease': [[LET_GO, '']],
  'a seat that is reaped before its lease': [
    [REAP_LEASE, ''],
    [REAP_SEAT, REAP_SEAT + REAP_LEASE],
  ],
  'a seat that is reaped with its lease': [[REAP_LEASE, '']],
  'seats that are reaped whoever has them': [
    ['if (words.load(ownerWord(seat)) !== threadId + 1) continue;', 'if (threadId < 0) continue;'],
  ],
} as const satisfies Record<string, readonly Replacement[]>;

export type MutantName = keyof typeof CODE_MUTANTS;

/** Files of mutants, until they are disposed of. */
export class MutantFiles implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sortition-mutants-'));
  #files = 0;

  /** The address of a module that is publication.ts with the mutation. */
  write(mutant: MutantName): string {
    const file = join(this.#directory, `mutant-${this.#files++}.ts`);
    writeFileSync(file, mutated(CODE_MUTANTS[mutant]));
    return pathToFileURL(file).href;
  }

  async load(mutant: MutantName): Promise<Publication> {
    return (await import(this.write(mutant))) as Publication;
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function mutated(replacements: readonly Replacement[]): string {
  let text = readFileSync(SOURCE, 'utf8');
  for (const [was, is] of replacements) {
    if (text.split(was).length !== 2)
      throw new Error(`publication.ts does not have this once: ${was.trim()}`);
    text = text.replace(was, () => is);
  }
  // The file stands somewhere else now, and the modules that it uses do not.
  return text.replaceAll(
    / from '(\.[^']+)'/g,
    (_, path) => ` from '${pathToFileURL(resolve(dirname(SOURCE), path)).href}'`,
  );
}
