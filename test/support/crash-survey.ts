/**
 * Writes generations through the code of snapshot-file.ts, stops the machine at every point between and in
 * every way that the model of the disk knows, and reads each time what is left. What must be found:
 *
 *   while generation g + 1 is written     generation g or g + 1, byte for byte
 *   when it is written                    generation g + 1
 *   with generation g damaged besides     generation g + 1 or g - 1
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPackedSnapshot, packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
import type { SnapshotSigning } from '../../src/workers/snapshot-signature.ts';
import { type Folder, ModelDisk } from './crash-states.ts';
import { vettedNodes } from './csv-file.ts';
import { LocalCache } from './local-cache.ts';
import { testRow } from './population.ts';
import { type DiskOperation, startRecording, takeOperations } from './recorded-disk.ts';
import type { SnapshotFileModule } from './snapshot-file-mutants.ts';

const FILE = 'nodes.snapshot';
/** Generations written one after the other, each larger or smaller than the one before. */
const ROWS = [30, 42, 20, 42, 60];
const PROBLEMS_MAX = 5;
/** After every so many states the next write goes on from there. */
const WRITE_ON_EVERY = 97;

export interface SurveyOptions {
  readonly signing?: SnapshotSigning | undefined;
  readonly hasLinks?: boolean;
  /** The newest file has lost a block while the next one is written. */
  readonly damages?: boolean;
  /** False: bytes are believed. */
  readonly checksDigest?: boolean;
}

export interface Survey {
  /** No two of them the same. */
  states: number;
  /** States after which another write was made and read. */
  writtenOn: number;
  /** The first of them. */
  readonly problems: string[];
}

type Bytes = Uint8Array<ArrayBuffer>;

/** Generations of different content and length. */
function generations(): Bytes[] {
  const cache = new LocalCache({ capacity: 100 });
  return ROWS.map(rows => packSnapshot(cache.publish(vettedNodes(rows).map(testRow)).snapshot.views));
}

export class CrashSurvey implements Disposable {
  readonly #module: SnapshotFileModule;
  readonly #options: SurveyOptions;
  readonly #packed = generations();
  readonly #parent = mkdtempSync(join(tmpdir(), 'sortition-crash-'));
  readonly #written = join(this.#parent, 'written');
  readonly #left = join(this.#parent, 'left');
  /** What lies in the folder of leftovers. */
  readonly #lying = new Map<string, Uint8Array>();
  /** States that have been looked at. */
  readonly #seen = new Set<string>();
  readonly result: Survey = { states: 0, writtenOn: 0, problems: [] };

  constructor(module: SnapshotFileModule, options: SurveyOptions = {}) {
    this.#module = module;
    this.#options = options;
    for (const folder of [this.#written, this.#left]) mkdirSync(folder);
  }

  [Symbol.dispose](): void {
    rmSync(this.#parent, { recursive: true, force: true });
  }

  /** Ends early when enough is wrong. */
  async run(): Promise<Survey> {
    startRecording({ hasLinks: this.#options.hasLinks ?? true });
    const disk = new ModelDisk();
    for (const [index, packed] of this.#packed.entries()) {
      await this.#module.writeSnapshotFile(join(this.#written, FILE), packed, this.#options.signing);
      const operations = takeOperations();
      const damaged = this.#options.damages === true ? disk.fileAt(FILE) : undefined;
      if (this.#options.damages === true && index < 2) for (const operation of operations) disk.do(operation);
      else await this.#stopAnywhere(disk, operations, index, damaged);
      if (this.result.problems.length >= PROBLEMS_MAX) break;
    }
    return this.result;
  }

  async #stopAnywhere(
    disk: ModelDisk,
    operations: readonly DiskOperation[],
    index: number,
    damaged: number | undefined,
  ): Promise<void> {
    const old = damaged === undefined ? index - 1 : index - 2;
    for (const [at, operation] of operations.entries()) {
      disk.do(operation);
      const isDone = at === operations.length - 1;
      for (const folder of disk.crashes(damaged)) {
        const allowed = isDone ? [index] : [index, old];
        await this.#check(
          folder,
          allowed,
          `write ${index + 1}, stop after ${operation.kind} (step ${at + 1})`,
        );
        if (this.result.problems.length >= PROBLEMS_MAX) return;
      }
    }
  }

  async #check(folder: Folder, allowed: readonly number[], where: string): Promise<void> {
    const state = fingerprint(folder) + allowed.join();
    if (this.#seen.has(state)) return;
    this.#seen.add(state);
    this.#lay(folder);
    const found = await this.#load();
    if (!allowed.includes(found)) {
      const names = allowed.map(nameOf).join(' or ');
      this.result.problems.push(`${where}: found ${nameOf(found)}, not ${names}`);
    }
    if (this.result.states++ % WRITE_ON_EVERY === 0) await this.#writeOn(where);
  }

  /** Whatever is left, the next write works, and is found. */
  async #writeOn(where: string): Promise<void> {
    const packed = this.#packed[0]!;
    // Not through the recorded disk, which follows one folder only.
    await writeSnapshotFile(join(this.#left, FILE), packed, this.#options.signing);
    if ((await this.#load()) !== 0) this.result.problems.push(`${where}: the write after it is not found`);
    this.result.writtenOn++;
    rmSync(this.#left, { recursive: true });
    mkdirSync(this.#left);
    this.#lying.clear();
  }

  /** Index of the generation that is found; -1: none; -2: one that was never written. */
  async #load(): Promise<number> {
    const { signing, checksDigest = true } = this.#options;
    try {
      const stored = await this.#module.readNewestSnapshot(
        join(this.#left, FILE),
        packed => {
          if (checksDigest) openPackedSnapshot(packed);
          return this.#packed.findIndex(written => Buffer.compare(written, packed) === 0);
        },
        { signing },
      );
      if (stored === undefined) return NONE;
      return stored.opened < 0 ? WRONG : stored.opened;
    } catch (error) {
      if (error instanceof Error && error.name === 'CacheError') return NONE;
      throw error;
    }
  }

  #lay(folder: Folder): void {
    for (const name of this.#lying.keys()) {
      if (folder.has(name)) continue;
      rmSync(join(this.#left, name), { force: true });
      this.#lying.delete(name);
    }
    for (const [name, bytes] of folder) {
      if (this.#lying.get(name) === bytes) continue;
      writeFileSync(join(this.#left, name), bytes);
      this.#lying.set(name, bytes);
    }
  }
}

function fingerprint(folder: Folder): string {
  const hash = createHash('sha256');
  for (const [name, bytes] of folder) hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  return hash.digest('base64');
}

const NONE = -1;
const WRONG = -2;

function nameOf(found: number): string {
  if (found === WRONG) return 'one that was never written';
  return found < 0 ? 'nothing' : `generation ${found + 1}`;
}
