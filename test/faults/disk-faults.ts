/** F19 to F24: what happens to the snapshot file, its folder and its disk. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { copyWithOtherLayout } from '../support/other-version.ts';
import { findProgram } from '../support/server-program.ts';
import type { Fault, FaultRun } from './fault.ts';
import { ServedProcess } from './served/served-process.ts';
import { PERSIST_STEPS, placeOf, type Step } from './steps.ts';

type Run = FaultRun;

const execute = promisify(execFile);
const WORD_BYTES = 4;
/** Requests that can be under way at a moment. */
const UNDER_WAY_MAX = 64;
/** Of the small disk; the file of the scene's nodes has about 150 kB, and two are kept. */
const DISK_BYTES = 1_048_576;

/** The server ends in order, with two good files, and the source is gone. */
async function endWithFiles(run: Run): Promise<void> {
  const { scene } = run;
  await run.until('there are two files', () => scene.hasTwoFiles());
  await scene.stopServer();
  scene.loseSource();
}

/** Starts it on what is there, with the source away. */
async function startOnFiles(run: Run): Promise<void> {
  const { scene } = run;
  await scene.startServer();
  await run.until('it has looked for a file', async () => {
    const { loader } = await scene.status();
    return loader.restored !== undefined || loader.lastError !== undefined;
  });
  run.hit('restore');
}

async function mendSource(run: Run): Promise<void> {
  const { scene } = run;
  await run.mend(
    () => {
      scene.proxy.mend();
      scene.target = scene.url;
    },
    'it loads',
    () => scene.isWell(),
  );
}

type FileHarm = readonly [what: string, harm: (path: string, run: Run) => Promise<unknown>];

const FILE_HARMS: readonly FileHarm[] = [
  [
    'a bit turned over',
    async (path, run) => {
      const bytes = await readFile(path);
      const at = run.draw(bytes.length);
      bytes[at] = bytes[at]! ^ (1 << run.draw(8));
      await writeFile(path, bytes);
    },
  ],
  ['cut short', async (path, run) => truncate(path, run.draw((await readFile(path)).length))],
  ['empty', path => truncate(path, 0)],
  [
    'bytes appended',
    async path => writeFile(path, Buffer.concat([await readFile(path), Buffer.alloc(64, 7)])),
  ],
  [
    'two halves of different files',
    async path => {
      const [one, other] = [await readFile(path), await readFile(`${path}.previous`)];
      const half = one.length >> 1;
      await writeFile(path, Buffer.concat([one.subarray(0, half), other.subarray(half), Buffer.from([1])]));
    },
  ],
  [
    'a folder',
    async path => {
      await rm(path);
      await mkdir(path);
    },
  ],
  [
    'a symbolic link',
    async path => {
      await rename(path, `${path}.elsewhere`);
      await symlink(`${path}.elsewhere`, path);
    },
  ],
  [
    'a pipe that nobody writes to',
    async path => {
      await rm(path);
      await execute('mkfifo', [path]);
    },
  ],
];

async function harmedFiles(run: Run): Promise<void> {
  const { scene } = run;
  const path = scene.snapshotFile;
  // In the short form not all of them: which ones, the seed says.
  const first = run.draw(FILE_HARMS.length);
  const done: string[] = [];
  await run.repeat(async times => {
    const [what, harm] = FILE_HARMS[(first + times) % FILE_HARMS.length]!;
    await endWithFiles(run);
    await harm(path, run);
    await startOnFiles(run);
    const { loader, ready, generation } = await scene.status();
    run.check(ready && generation > 0, `${what}: the file before it is served`);
    run.check(loader.restored?.path === `${path}.previous`, `${what}: and is named`);
    run.check(loader.restored?.problem !== undefined, `${what}: and what is wrong with the newest is said`);
    await run.until(`${what}: the log says so`, () =>
      scene.server.hasLogged(/the snapshot file could not be used/),
    );
    scene.target = scene.url;
    await run.last(0.1);
    await rm(path, { recursive: true, force: true });
    await rm(`${path}.elsewhere`, { force: true });
    scene.proxy.mend();
    scene.load.silentSince(undefined);
    await run.until('it loads', () => scene.isWell());
    done.push(what);
  });
  run.note(done.join(', '));
  await mendSource(run);
}

/** Both are bad: then nothing is served, and it says why. */
async function noGoodFile(run: Run): Promise<void> {
  const { scene, load } = run;
  const path = scene.snapshotFile;
  await endWithFiles(run);
  for (const file of [path, `${path}.previous`]) {
    const bytes = await readFile(file);
    bytes[bytes.length - 1] = bytes.at(-1)! ^ 1;
    await writeFile(file, bytes);
  }
  await startOnFiles(run);
  load.allow(({ status, text }) => status === 503 && text.includes('SNAPSHOT_NOT_READY'));
  scene.target = scene.url;
  await run.last();
  const { loader, ready } = await scene.status();
  run.check(
    !ready && loader.restored?.problem?.code === 'SNAPSHOT_CORRUPT',
    'it says that the file is corrupt',
  );
  await mendSource(run);
  load.allow(() => false);
}

/** The word of the header that says the version of the layout is another; both files, then the newest one. */
async function otherVersionOfFile(run: Run): Promise<void> {
  const { scene } = run;
  const path = scene.snapshotFile;
  await endWithFiles(run);
  const file = await open(path, 'r+');
  const word = Buffer.alloc(WORD_BYTES);
  await file.read(word, 0, WORD_BYTES, HEADER_WORD.VERSION * WORD_BYTES);
  word.writeUInt32LE(word.readUInt32LE() + 1);
  await file.write(word, 0, WORD_BYTES, HEADER_WORD.VERSION * WORD_BYTES);
  await file.close();
  await startOnFiles(run);
  const { loader, ready } = await scene.status();
  const { code, message } = loader.restored?.problem ?? {};
  run.check(ready, 'the file before it is served');
  run.check(code === 'LAYOUT_MISMATCH', `the refusal says that it is of another version: ${code}`);
  run.check(/version/.test(message ?? ''), `in plain words: ${message}`);
  scene.target = scene.url;
  await run.last();
  await mendSource(run);
}

/** A program of another version of the layout takes over the folder, and this one takes it back. */
async function upgradeAndBack(run: Run): Promise<void> {
  const { scene } = run;
  const next = copyWithOtherLayout();
  try {
    await run.until('there are two files', () => scene.hasTwoFiles());
    for (const root of [next.root, undefined]) {
      await scene.stopServer();
      scene.loseSource();
      await rm(`${scene.snapshotFile}.previous`, { force: true });
      await scene.startServer(undefined, root === undefined ? {} : { root });
      await run.until('it refuses the file of the other', async () => {
        const { loader, generation } = await scene.status();
        return loader.restored?.problem?.code === 'LAYOUT_MISMATCH' && generation === 0;
      });
      scene.proxy.mend();
      scene.load.silentSince(undefined);
      await run.until('it loads', () => scene.isWell());
      scene.target = scene.url;
      await run.last(0.5);
      await run.until('its own file is there', () => scene.isPersisted());
    }
  } finally {
    next.remove();
  }
  await mendSource(run);
}

async function noSmallDisk(): Promise<string | undefined> {
  if (platform() !== 'linux' || process.getuid?.() !== 0)
    return 'needs Linux and root, to mount a small disk';
  return undefined;
}

/** A disk of its own for the snapshot file. */
async function onSmallDisk(run: Run, work: (disk: string) => Promise<void>): Promise<void> {
  const { scene } = run;
  const disk = join(scene.folder, 'disk');
  await mkdir(disk, { recursive: true });
  await execute('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk]);
  try {
    await scene.stopServer();
    await scene.startServer({ 'snapshot-file': join(disk, 'snapshot') });
    await scene.server.ready();
    scene.target = scene.url;
    await run.until('two files are there', async () => (await readdir(disk)).includes('snapshot.previous'));
    await work(disk);
  } finally {
    await scene.stopServer();
    await execute('umount', ['-l', disk]);
  }
  await scene.startServer({});
  await scene.server.ready();
  scene.target = scene.url;
}

/** Loads go on being published, and the status says why they are not on disk. */
async function servesWithoutDisk(run: Run, why: RegExp): Promise<void> {
  const { scene } = run;
  await run.until('the status says why it cannot be written', async () =>
    why.test((await scene.status()).loader.snapshotFile?.problem ?? ''),
  );
  const before = (await scene.status()).generation;
  await run.last();
  await run.until(
    'generations are published all the same',
    async () => (await scene.status()).generation > before,
  );
  const { ready, loader } = await scene.status();
  run.check(ready, 'it is ready all the same');
  run.check(loader.lastError === undefined, 'a load does not fail of it');
  run.hit('persist');
}

const isHalfWritten = (name: string) => name.endsWith('.tmp');

async function diskFull(run: Run): Promise<void> {
  await onSmallDisk(run, async disk => {
    const filler = join(disk, 'filler');
    await writeFile(filler, Buffer.alloc(DISK_BYTES)).catch(() => undefined);
    await servesWithoutDisk(run, /ENOSPC/);
    const left = await readdir(disk);
    const kept = ['snapshot', 'snapshot.previous'].every(name => left.includes(name));
    run.check(kept, `both old files are there: ${left.join()}`);
    await run.until('nothing half-written stays', async () => !(await readdir(disk)).some(isHalfWritten));
    await run.mend(
      () => rm(filler),
      'it is written again',
      () => run.scene.isPersisted(),
    );
  });
}

async function diskReadOnly(run: Run): Promise<void> {
  await onSmallDisk(run, async disk => {
    const remount = (how: string) => execute('mount', ['-o', `remount,${how}`, disk]);
    // Refused while a file is open for writing.
    await run.until('the disk is read-only', () =>
      remount('ro').then(
        () => true,
        () => false,
      ),
    );
    await servesWithoutDisk(run, /EROFS/);
    await run.mend(
      () => remount('rw'),
      'it is written again',
      () => run.scene.isPersisted(),
    );
  });
}

/** For whoever is not root: a folder that may not be written to. */
async function folderClosed(run: Run): Promise<void> {
  const { scene } = run;
  await run.until('a file is there', () => scene.isPersisted());
  await chmod(scene.folder, 0o500);
  await servesWithoutDisk(run, /EACCES/);
  await run.mend(
    () => chmod(scene.folder, 0o700),
    'it is written again',
    () => scene.isPersisted(),
  );
}

const isRoot = async () =>
  process.getuid?.() === 0 ? 'root may write everywhere: see the disk that is read-only' : undefined;

async function noStrace(): Promise<string | undefined> {
  if (platform() !== 'linux') return 'needs Linux';
  return (await findProgram(['strace'])) === undefined ? 'needs the program strace' : undefined;
}

async function syncFails(run: Run): Promise<void> {
  const { scene } = run;
  const strace = spawn(
    'strace',
    [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fsync',
      '-e',
      'inject=fsync:error=EIO',
      '-p',
      String(scene.server.pid),
    ],
    { stdio: 'ignore' },
  );
  const ended = once(strace, 'exit');
  try {
    await servesWithoutDisk(run, /EIO/);
  } finally {
    strace.kill('SIGINT');
    await ended;
  }
  await run.mend(
    () => undefined,
    'it is written again',
    () => scene.isPersisted(),
  );
}

/** The process is gone at a step; what is on disk afterwards is the old file or the new one. */
async function powerCut(run: Run): Promise<void> {
  const { scene, load } = run;
  // In the short form not all of them: which ones, the seed says.
  const steps: readonly Step[] = [...PERSIST_STEPS, 'publish'];
  const first = run.draw(steps.length);
  let inFlight = 0;
  await run.repeat(async times => {
    const step = steps[(first + times) % steps.length]!;
    await run.until('there are two files', () => scene.hasTwoFiles());
    const losses = load.allowLosses();
    const place = placeOf(step);
    await scene.server
      .inside('set', { trap: { place, action: { kind: 'kill-process' }, times: 1 } })
      .catch(() => undefined);
    await scene.server.ended();
    scene.target = undefined;
    run.hit(step);
    await load.settled('during');
    load.allow(() => false);
    const lost = losses();
    run.check(lost <= UNDER_WAY_MAX, `only what was under way is lost: ${lost}`);
    inFlight += lost;
    scene.loseSource();
    await startOnFiles(run);
    const { loader, ready } = await scene.status();
    run.check(ready && loader.restored?.generation !== undefined, 'a whole file is served');
    scene.target = scene.url;
    await run.last(0.1);
    scene.proxy.mend();
    load.silentSince(undefined);
    await run.until('it loads', () => scene.isWell());
  });
  run.note(`${inFlight} requests were under way`);
  await mendSource(run);
}

/**
 * Ended by its own command at the step itself: a loader that dies while it restores is followed by another.
 */
async function killedWhileRestoring(run: Run): Promise<void> {
  const { scene } = run;
  for (const step of ['restore', 'restore: publish'] as const) {
    await endWithFiles(run);
    const place = placeOf(step);
    const server = ServedProcess.launch(scene.serveOptions());
    await server.inside('set', { trap: { place, action: { kind: 'terminate' }, times: 1 } });
    await scene.take(server);
    await run.until('it has died, and its follower has restored', async () => {
      const { loader, ready } = await scene.status();
      return ready && loader.restarts === 1 && loader.restored?.generation !== undefined;
    });
    run.hit(step);
    scene.target = scene.url;
    await run.last(0.3);
    scene.proxy.mend();
    scene.load.silentSince(undefined);
    await run.until('it loads', () => scene.isWell());
  }
  await mendSource(run);
}

export const DISK_FAULTS: readonly Fault[] = [
  { number: 'F17', name: 'loader ended while it restores', run: killedWhileRestoring },
  { number: 'F19', name: 'newest snapshot file harmed', run: harmedFiles },
  { number: 'F19', name: 'both snapshot files harmed', run: noGoodFile },
  { number: 'F20', name: 'snapshot file of another version', run: otherVersionOfFile },
  { number: 'F21', name: 'disk full', unavailable: noSmallDisk, run: diskFull },
  { number: 'F22', name: 'fsync fails with EIO', unavailable: noStrace, run: syncFails },
  { number: 'F23', name: 'killed while it publishes and persists', run: powerCut },
  { number: 'F24', name: 'disk becomes read-only', unavailable: noSmallDisk, run: diskReadOnly },
  { number: 'F24', name: 'folder may not be written to', unavailable: isRoot, run: folderClosed },
  { number: 'F50', name: 'upgrade to another layout, and back', run: upgradeAndBack },
];
