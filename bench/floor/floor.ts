/**
 * The C program beside this file, from TypeScript: compiled once a run, then asked over two pipes whose calls
 * block, so that a bench can give it its turn among cases that run here. What it understands stands in
 * floor.c.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compileC } from '../../test/support/c-compiler.ts';

const SOURCE = resolve(import.meta.dirname, 'floor.c');
/** Vectors of 256 bits are passed between functions of one file only: how does not matter. */
const FLAGS = ['-std=gnu11', '-O3', '-Wall', '-Wextra', '-Werror', '-Wno-psabi'];
const READ_BYTES = 1 << 16;

/** For which machine it is compiled: this one, or any whose vectors have the 128 bits of WebAssembly. */
export type FloorBuild = 'native' | '128 bits';

/** Builds that this machine can run. */
export const FLOOR_BUILDS: readonly FloorBuild[] =
  process.arch === 'x64' ? ['native', '128 bits'] : ['native'];

export type FloorForm = 'select' | 'records' | 'json' | 'messagepack';

/** Nanoseconds of a call. */
export interface FloorTiming {
  readonly p50_ns: number;
  readonly mean_ns: number;
  readonly p99_ns: number;
  readonly min_ns: number;
  readonly calls: number;
  readonly calls_per_sample: number;
}

export interface BlockedIds {
  readonly exclude?: readonly string[];
  readonly held?: readonly string[];
}

const programs = new Map<string, string>();
let pipes = 0;

/** The program for `build`, in `folder`; compiled when it is asked for first. Throws when there is no gcc. */
function programFor(build: FloorBuild, folder: string): string {
  const key = `${folder} ${build}`;
  const known = programs.get(key);
  if (known !== undefined) return known;
  const program = join(folder, `floor-${build.replace(' ', '-')}`);
  const target = build === 'native' ? '-march=native' : '-march=x86-64-v2';
  compileC({ source: SOURCE, program, flags: [...FLAGS, target] });
  programs.set(key, program);
  return program;
}

interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** A named pipe without its name. Opening an end waits for the other; but the first is both. */
function openPipe(folder: string): Pipe {
  const path = join(folder, `floor-${process.pid}-${pipes++}.pipe`);
  execFileSync('mkfifo', ['-m', '600', path]);
  const both = openSync(path, 'r+');
  const pipe = { readEnd: openSync(path, 'r'), writeEnd: openSync(path, 'w') };
  closeSync(both);
  rmSync(path);
  return pipe;
}

export class Floor {
  readonly build: FloorBuild;
  readonly #child: ChildProcess;
  readonly #requests: number;
  readonly #replies: number;
  readonly #chunk = Buffer.alloc(READ_BYTES);

  /** Starts the program over the snapshot file at `snapshot`; `folder` is for what it needs while it runs. */
  constructor(build: FloorBuild, snapshot: string, folder: string) {
    this.build = build;
    const program = programFor(build, folder);
    const requests = openPipe(folder);
    const replies = openPipe(folder);
    this.#child = spawn(program, [snapshot], { stdio: [requests.readEnd, replies.writeEnd, 'inherit'] });
    // Only the program holds these ends now: when it is gone, reading from it ends.
    closeSync(requests.readEnd);
    closeSync(replies.writeEnd);
    this.#requests = requests.writeEnd;
    this.#replies = replies.readEnd;
    this.#child.unref();
  }

  seed(key: Uint32Array): void {
    this.#send(`seed ${Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('hex')}`);
  }

  /** The share of new picks, and whether it is capped at their natural share. */
  draw(newFraction: number, cap: boolean): void {
    this.#send(`draw ${newFraction} ${cap ? 1 : 0}`);
  }

  age(ageMs: number): void {
    this.#send(`age ${ageMs}`);
  }

  block({ exclude = [], held = [] }: BlockedIds): void {
    this.#send(['exclude', ...exclude].join(' '));
    this.#send(['held', ...held].join(' '));
  }

  /** The bytes of one answer; of `select` the rows, 32 bits each. */
  answer(form: FloorForm, count: number): Buffer {
    this.#send(`answer ${form} ${count}`);
    return Buffer.from(this.#receive(), 'hex');
  }

  /** Times calls for `ms` milliseconds. */
  time(form: FloorForm, count: number, ms: number): FloorTiming {
    this.#send(`time ${form} ${count} ${ms}`);
    return JSON.parse(this.#receive()) as FloorTiming;
  }

  /** The program ends when there is nothing more to read. */
  close(): void {
    closeSync(this.#requests);
    closeSync(this.#replies);
  }

  #send(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#requests, bytes, at);
  }

  #receive(): string {
    let line = '';
    while (!line.endsWith('\n')) {
      const bytes = readSync(this.#replies, this.#chunk);
      if (bytes === 0) throw new Error('the floor program has ended; what was wrong stands above');
      line += this.#chunk.toString('latin1', 0, bytes);
    }
    return line.trimEnd();
  }
}
