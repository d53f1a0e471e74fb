/** The package as users get it: packed, installed into an empty project, run on every supported Node. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LAYOUT_VERSION } from '../../native-layout/index.ts';
import { figure } from '../support/figures.ts';
import { relaysPath } from '../support/relays.ts';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
/** The oldest that is supported, exactly, and the newest of each line. */
const SUPPORTED = ['22.12.0', '22', '24', '26'];
const TOO_OLD = '20';

const PROGRAM = `
import { attachCache, fileSource, openCache } from 'sortition';
import { LAYOUT_VERSION } from 'sortition/layout';
import { isMainThread, Worker, workerData, parentPort } from 'node:worker_threads';
if (isMainThread) {
  const cache = await openCache({ source: fileSource(process.argv[2]) });
  await cache.ready();
  const worker = new Worker(new URL(import.meta.url), { workerData: cache.handle() });
  const there = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const picked = cache.select({ count: 110 });
  await cache.close();
  const { kernel } = cache;
  const ip = picked.at(0).ip;
  console.log(JSON.stringify({ here: picked.length, there, layout: LAYOUT_VERSION, kernel, ip }));
} else {
  const cache = attachCache(workerData);
  parentPort.postMessage(cache.select({ count: 7 }).nodes.length);
  cache.close();
}
`;

const SERVER_PROGRAM = `
import { loadConfig, startServer } from 'sortition/server';
const config = loadConfig({
  document: { source: process.argv[2], port: 0, 'log.level': 'warn', 'shutdown.drainDelayMs': 0 },
});
const server = await startServer(config);
await server.cache.ready();
const answer = await fetch(server.url + '/v1/selection?count=9');
const docs = await fetch(server.url + '/docs/static/index.html');
console.log(JSON.stringify({ picked: (await answer.json()).nodes.length, docs: docs.status }));
await server.stop();
`;

const TYPED_PROGRAM = `
import { type Cache, openCache, postgresSource } from 'sortition';
import { loadConfig, type RunningServer, startServer } from 'sortition/server';
export async function open(): Promise<Cache> {
  const cache = await openCache({ source: postgresSource({ table: 'nodes' }), refresh: { everyMs: 1000 } });
  for (const node of cache.select({ count: 3 })) console.log(node.ip, node.port, node.id);
  return cache;
}
export function serve(source: string): Promise<RunningServer> {
  return startServer(loadConfig({ document: { source, port: 0, 'refresh.everyMs': 5_000 } }));
}
`;

let folder: string;
let project: string;

/** The path of a Node of this version: one of the platform packages that `installNodes` has installed. */
function nodeOf(version: string): string {
  return join(folder, 'nodes/node_modules', nodeAlias(version), 'bin/node');
}

function nodeAlias(version: string): string {
  return `node-${version.replaceAll('.', '-')}`;
}

async function installNodes(): Promise<void> {
  const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const home = join(folder, 'nodes');
  await mkdir(home);
  await writeFile(join(home, 'package.json'), '{"private":true}');
  const names = [...SUPPORTED, TOO_OLD].map(version => `${nodeAlias(version)}@npm:${platform}@${version}`);
  await install(home, names);
}

/** As a user installs. */
async function install(cwd: string, names: readonly string[]): Promise<void> {
  await run('npm', ['install', '--no-audit', '--no-fund', '--no-progress', ...names], { cwd });
}

async function installPackage(): Promise<void> {
  project = join(folder, 'project');
  await mkdir(project);
  await run('npm', ['pack', '--pack-destination', folder], { cwd: ROOT });
  const archive = (await readdir(folder)).find(name => name.endsWith('.tgz'));
  await writeFile(join(project, 'package.json'), '{"private":true,"type":"module"}');
  await install(project, [join(folder, archive!)]);
  await writeFile(join(project, 'program.mjs'), PROGRAM);
  await writeFile(join(project, 'server.mjs'), SERVER_PROGRAM);
  await cp(relaysPath('population.csv'), join(project, 'population.csv'));
}

async function archiveDigest(of: string): Promise<string> {
  const archive = (await readdir(of)).find(name => name.endsWith('.tgz'));
  return createHash('sha256')
    .update(await readFile(join(of, archive!)))
    .digest('hex');
}

/** The files of the package itself, from its folder. */
async function packageFiles(): Promise<string[]> {
  const entries = await readdir(join(project, 'node_modules/sortition'), {
    recursive: true,
    withFileTypes: true,
  });
  const base = join(project, 'node_modules/sortition');
  return entries
    .filter(entry => entry.isFile())
    .map(entry => relative(base, join(entry.parentPath, entry.name)));
}

describe('the packed package', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sortition-package-'));
    await Promise.all([installPackage(), installNodes()]);
  }, 180_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('holds no sources, tests or benches', async () => {
    const names = await packageFiles();
    expect(names.filter(name => /\.test\.|^bench|^test/.test(name))).toEqual([]);
    expect(names.filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts'))).toEqual([]);
    expect(names).toContain('LICENSE');
  });

  it('is the same, byte for byte, when it is packed again', async () => {
    const again = join(folder, 'again');
    await mkdir(again);
    await run('npm', ['pack', '--pack-destination', again], { cwd: ROOT });
    const digests = await Promise.all([folder, again].map(archiveDigest));
    expect(digests[1]).toBe(digests[0]);
    figure('G17', 'package digest, twice the same', digests[0]!.slice(0, 16));
  }, 120_000);

  it('brings nothing that runs a script when it is installed, but what msgpackr may do without', async () => {
    const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8'));
    const packages = Object.entries<{ hasInstallScript?: boolean }>(lock.packages);
    const scripted = packages.filter(([, entry]) => entry.hasInstallScript).map(([path]) => path);
    figure('G17', 'packages installed', packages.length - 1);
    figure('G17', 'of them with an install script', scripted.length);
    // Optional: npm goes on where it fails, or where scripts are switched off.
    expect(scripted).toEqual(['node_modules/msgpackr-extract']);
  });

  it.each(SUPPORTED)('selects in two threads on Node %s', async version => {
    const node = nodeOf(version);
    const { stdout } = await run(node, ['program.mjs', 'population.csv'], { cwd: project });
    expect(JSON.parse(stdout)).toMatchObject({
      here: 110,
      there: 7,
      layout: LAYOUT_VERSION,
      kernel: 'wasm',
      ip: expect.any(String),
    });
    const cli = join(project, 'node_modules/sortition/dist/src/server/main.js');
    const answer = await run(node, [cli, 'select', '--source', 'population.csv', '--count', '3', '--json'], {
      cwd: project,
    });
    expect((JSON.parse(answer.stdout) as { nodes: unknown[] }).nodes).toHaveLength(3);
    const served = await run(node, ['server.mjs', 'population.csv'], { cwd: project });
    expect(JSON.parse(served.stdout)).toEqual({ picked: 9, docs: 200 });
  });

  it('says clearly that an older Node is too old', async () => {
    const node = nodeOf(TOO_OLD);
    const cli = join(project, 'node_modules/sortition/dist/src/server/main.js');
    const failure = await run(node, [cli, '--version'], { cwd: project }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: expect.any(Number),
      stderr: expect.stringMatching(/Node\.js 22\.12/),
    });
    const library = await run(node, ['program.mjs', 'population.csv'], { cwd: project }).catch(
      (e: unknown) => e,
    );
    expect(library).toMatchObject({ stderr: expect.stringMatching(/Node\.js 22\.12/) });
  });

  it('has types that a strict program compiles against', { timeout: 60_000 }, async () => {
    await writeFile(join(project, 'typed.ts'), TYPED_PROGRAM);
    const tsc = join(ROOT, 'node_modules/.bin/tsc');
    const types = join(ROOT, 'node_modules/@types');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
    await run(tsc, [...options, '--typeRoots', types, 'typed.ts'], { cwd: project });
  });
});
