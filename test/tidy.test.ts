/**
 * The house rules that a machine can check: who may import whom, sizes, words, and what must not be in the
 * repository.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, dirname, extname, join, normalize, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { blocksOf, importsOf, withoutLiterals } from './support/source-text.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** Folder → folders that it may import from. A file belongs to the longest folder that it is in. */
const LAYERS: Record<string, readonly string[]> = {
  'native-layout': [],
  'src/engine': ['native-layout'],
  'src/workers': ['src/engine', 'native-layout'],
  'src/server': ['src/workers', 'src/engine', 'native-layout'],
  // The public face: src/index.ts.
  src: ['src/workers', 'src/engine', 'native-layout'],
  tools: ['src/workers', 'src/engine', 'src/server', 'src', 'native-layout'],
  'test/support': ['src/workers', 'src/engine', 'src/server', 'src', 'native-layout'],
  bench: ['test/support', 'src/workers', 'src/engine', 'src/server', 'src', 'native-layout'],
  test: ['test/support', 'bench', 'tools', 'src/workers', 'src/engine', 'src/server', 'src', 'native-layout'],
};

/** Package → the only folders or files of the product that may import it. Engine and layout import none. */
const PACKAGES: Record<string, readonly string[]> = {
  piscina: ['src/workers'],
  pg: ['src/workers'],
  redis: ['src/workers/bus/redis'],
  '@nats-io/jetstream': ['src/workers/bus/nats', 'src/workers/bus/nats-bus.ts'],
  '@nats-io/transport-node': ['src/workers/bus/nats', 'src/workers/bus/nats-bus.ts'],
  fastify: ['src/server'],
  '@fastify/swagger': ['src/server'],
  '@fastify/swagger-ui': ['src/server'],
  '@fastify/type-provider-typebox': ['src/server'],
  typebox: ['src/server'],
  commander: ['src/server'],
  pino: ['src/server'],
  'prom-client': ['src/server'],
  msgpackr: ['src/server'],
};

const PURE_FOLDERS = ['native-layout', 'src/engine'];
/** One for each set of words: of publication, of prepared answers, of what rates have left (I3). */
const ATOMICS_FILES = [
  'src/engine/live-column.ts',
  'src/engine/prepared/ring.ts',
  'src/engine/publication.ts',
  'src/server/access/rate-words.ts',
];
const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 500;
const LINE_CHARACTERS_MAX = 110;

const TEXT_EXTENSIONS = [
  '.ts',
  '.js',
  '.mjs',
  '.json',
  '.md',
  '.yml',
  '.yaml',
  '.sql',
  '.sh',
  '.html',
  '.css',
  '.txt',
  '',
];

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly folder: string | undefined;
}

/** Files that are in the repository, or would be after `git add`. */
function repositoryFiles(): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
  });
  const paths = [...new Set(listed.toString().split('\0'))].filter(path => path !== '');
  return paths.flatMap(path => {
    if (!TEXT_EXTENSIONS.includes(extname(path))) return [];
    try {
      return [{ path, text: readFileSync(join(ROOT, path), 'utf8'), folder: folderOf(path) }];
    } catch {
      // Deleted, and the deletion is not staged yet; or a link to a folder.
      return [];
    }
  });
}

function folderOf(path: string): string | undefined {
  return Object.keys(LAYERS)
    .filter(folder => path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}

const FILES = repositoryFiles();
const CODE = FILES.filter(({ path, folder }) => path.endsWith('.ts') && folder !== undefined);
/** Runs when the kernel is built, not in the product. */
const BUILD_FILE = 'native-layout/build-kernel.ts';
const PRODUCT = CODE.filter(
  ({ path }) => (path.startsWith('src/') || path.startsWith('native-layout/')) && path !== BUILD_FILE,
);
/** AssemblyScript names its files without their ending, and the build writes one of them. */
const TYPESCRIPT = CODE.filter(({ path }) => !path.startsWith('native-layout/kernel/'));

/** The file that a relative import names, from the root. */
function target(path: string, specifier: string): string {
  return normalize(join(dirname(path), specifier));
}

const isRelative = (specifier: string) => specifier.startsWith('.');

/** Every `{path}: {what}` that breaks a rule. */
function violations(files: readonly SourceFile[], of: (file: SourceFile) => Iterable<string>): string[] {
  return files.flatMap(file => [...of(file)].map(what => `${file.path}: ${what}`));
}

describe('imports', () => {
  test('go down only: a folder imports from its own and from those below it', () => {
    const upward = violations(CODE, ({ path, text, folder }) =>
      importsOf(text).filter(specifier => {
        if (!isRelative(specifier)) return false;
        const to = folderOf(target(path, specifier));
        return to !== folder && (to === undefined ? folder !== 'test' : !LAYERS[folder!]!.includes(to));
      }),
    );
    expect(upward).toEqual([]);
  });

  test('name files that exist, with their ending', () => {
    const paths = new Set(CODE.map(({ path }) => path));
    const missing = violations(TYPESCRIPT, ({ path, text }) =>
      importsOf(text).filter(
        specifier =>
          isRelative(specifier) &&
          !paths.has(target(path, specifier)) &&
          !specifier.endsWith('.json') &&
          !specifier.endsWith('vitest.config.ts'),
      ),
    );
    expect(missing).toEqual([]);
  });

  test('of the engine and the layout name no package and nothing of Node', () => {
    const pure = PRODUCT.filter(({ folder }) => PURE_FOLDERS.includes(folder!));
    expect(
      violations(pure, ({ text }) => importsOf(text).filter(specifier => !isRelative(specifier))),
    ).toEqual([]);
  });

  test('of packages stay in the folder that the package belongs to', () => {
    const strays = violations(PRODUCT, ({ path, text }) =>
      importsOf(text).filter(specifier => {
        const folders = PACKAGES[packageOf(specifier)];
        return (
          folders !== undefined && !folders.some(folder => path === folder || path.startsWith(`${folder}/`))
        );
      }),
    );
    expect(strays).toEqual([]);
  });

  test('of built-in modules say so', () => {
    const bare =
      /^(fs|path|os|url|util|crypto|events|stream|http|net|worker_threads|child_process|perf_hooks)(\/|$)/;
    expect(violations(CODE, ({ text }) => importsOf(text).filter(specifier => bare.test(specifier)))).toEqual(
      [],
    );
  });

  test('never name the entry of a thread: threads are started by URL', () => {
    const entries = violations(CODE, ({ text }) =>
      importsOf(text).filter(specifier => specifier.endsWith('-worker.ts')),
    );
    expect(entries).toEqual([]);
  });

  test('make no circle', () => {
    const graph = new Map(
      PRODUCT.map(({ path, text }) => [
        path,
        importsOf(text)
          .filter(isRelative)
          .map(specifier => target(path, specifier)),
      ]),
    );
    expect(circlesIn(graph)).toEqual([]);
  });

  function packageOf(specifier: string): string {
    const parts = specifier.split('/');
    return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!;
  }

  function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
    const circles: string[] = [];
    const done = new Set<string>();
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      if (done.has(path) || trail.includes(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    return circles;
  }
});

describe('the engine', () => {
  const pure = PRODUCT.filter(({ folder }) => PURE_FOLDERS.includes(folder!));

  test('reads no clock, no environment and no weak randomness, and starts nothing', () => {
    const names = ['Date', 'Math.random', 'performance', 'process', 'console', 'fetch', 'queueMicrotask'];
    const timers = ['setTimeout', 'setInterval', 'setImmediate'];
    const banned = new RegExp(`\\b(${[...names, ...timers].join('|')})\\b`, 'g');
    expect(violations(pure, ({ text }) => withoutLiterals(text).match(banned) ?? [])).toEqual([]);
  });

  test('is synchronous', () => {
    expect(
      violations(pure, ({ text }) => withoutLiterals(text).match(/\b(async|await|Promise)\b/g) ?? []),
    ).toEqual([]);
  });

  test('synchronises each set of shared words in one file', () => {
    const users = PRODUCT.filter(({ text }) => /\bAtomics\b/.test(withoutLiterals(text))).map(
      ({ path }) => path,
    );
    expect(users.toSorted()).toEqual(ATOMICS_FILES);
  });

  test.each(ATOMICS_FILES)('gives a reason on the line above every atomic operation of %s', file => {
    const { text } = FILES.find(({ path }) => path === file)!;
    const lines = text.split('\n');
    const bare = lines.filter(
      (line, i) => /#?words\.(load|store|compareExchange)\(/.test(line) && !hasReason(lines, i),
    );
    expect(bare).toEqual([]);
  });

  /** A comment above the statement or above the loop or condition that it belongs to. */
  function hasReason(lines: readonly string[], at: number): boolean {
    const above = lines.slice(Math.max(0, at - 4), at + 1).join('\n');
    return above.includes('//') || above.includes('CONTROL_WORD.');
  }
});

describe('sizes', () => {
  test(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    const long = violations(CODE, ({ text }) =>
      blocksOf(text)
        .filter(block => block.isFunction && block.lines > FUNCTION_LINES_MAX)
        .map(block => `${block.lines} lines from line ${block.line}: ${block.head}`),
    );
    expect(long).toEqual([]);
  });

  test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
    const long = violations(CODE, ({ text }) => {
      const lines = text.split('\n').length - 1;
      return lines > FILE_LINES_MAX ? [`${lines} lines`] : [];
    });
    expect(long).toEqual([]);
  });

  test(`no line is longer than ${LINE_CHARACTERS_MAX} characters, but for addresses`, () => {
    const long = violations(CODE, ({ text }) =>
      text
        .split('\n')
        .map((line, i) => ({ line, number: i + 1 }))
        .filter(
          ({ line }) => [...line].length > LINE_CHARACTERS_MAX && !/https?:\/\/|biome-ignore/.test(line),
        )
        .map(({ line, number }) => `line ${number} has ${[...line].length} characters`),
    );
    expect(long).toEqual([]);
  });
});

describe('words', () => {
  test('every file of the product says at its top what it is', () => {
    const bare = PRODUCT.filter(({ text }) => !/^(#!.*\n)?(\/\/ @\w+\n)?\/\*\*/.test(text)).map(
      ({ path }) => path,
    );
    expect(bare).toEqual([]);
  });

  test('files are named in small letters with hyphens', () => {
    const odd = CODE.map(({ path }) => path).filter(
      path => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+(-[a-z]+)*)*\.ts$/.test(basename(path)),
    );
    expect(odd).toEqual([]);
  });

  test('nothing is typed as anything', () => {
    const pattern = /(?:[:<|&(,]\s*|\bas\s+)any\b(?!\s*[:(])/g;
    expect(violations(CODE, ({ text }) => withoutLiterals(text).match(pattern) ?? [])).toEqual([]);
  });

  test('nothing but a configuration is a default export', () => {
    const pattern = /\bexport\s+default\b/g;
    const files = FILES.filter(({ path }) => path.endsWith('.ts') && !path.endsWith('.config.ts'));
    expect(violations(files, ({ text }) => withoutLiterals(text).match(pattern) ?? [])).toEqual([]);
  });

  test('nothing is left to be done later', () => {
    const later = new RegExp(
      `\\b(${['TO', 'FIX'].map(word => `${word}${word === 'TO' ? 'DO' : 'ME'}`).join('|')})\\b`,
      'g',
    );
    const files = FILES.filter(({ path }) => path !== 'package-lock.json');
    expect(violations(files, ({ text }) => text.match(later) ?? [])).toEqual([]);
  });

  test('no test is left out, and none is run alone', () => {
    const tests = CODE.filter(({ path }) => path.startsWith('test/'));
    const pattern = /\b(?:test|it|describe)(?:\.\w+)*\.(?:skip|only|todo|fails)\b/g;
    expect(violations(tests, ({ text }) => withoutLiterals(text).match(pattern) ?? [])).toEqual([]);
  });
});

describe('the repository', () => {
  test('holds no path of a machine', () => {
    const home = new RegExp(`(?<![\\w.])/(?:${['work', 'root', 'home', 'Users'].join('|')})/[\\w.-]+`, 'g');
    expect(violations(FILES, ({ text }) => text.match(home) ?? [])).toEqual([]);
  });

  test('names no package registry', () => {
    const hosts = /https?:\/\/[^\s/"']*(?:registry|npmmirror|artifactory|nexus|verdaccio)[^\s/"']*/g;
    expect(violations(FILES, ({ text }) => text.match(hosts) ?? [])).toEqual([]);
  });
});

describe('these rules', () => {
  test('see through comments, strings, templates and patterns', () => {
    const sample = [
      "const a = 'import x from \"y\"'; // import './comment.ts'",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is code to be read, not run.
      '/* import "./block.ts" */ const b = `text ${`inner ${1}`} import "./template.ts"`;',
      'const c = /import "[^"]*"/g.test(a) ? 1 / 2 : 3;',
      "import { d } from './real.ts';",
      "import './bare.ts';",
      "export type { E } from './type.ts';",
      "const f = await import('./dynamic.ts');",
    ].join('\n');
    expect(importsOf(sample).toSorted()).toEqual(['./bare.ts', './dynamic.ts', './real.ts', './type.ts']);
    expect(withoutLiterals(sample)).not.toMatch(/comment|block|template|inner/);
    expect(withoutLiterals(sample).split('\n')).toHaveLength(7);
  });

  test('measure functions, and not the classes and tables around them', () => {
    const body = '\n  x();'.repeat(5);
    const sample = [
      `function plain(): { a: number } {${body}\n}`,
      `class Thing {${body}\n  method<T extends { b: 1 }>(a: T): Promise<void> {${body}\n  }\n}`,
      `const table = {${body}\n};`,
      `const arrow = async (x: number) => {${body}\n};`,
      `describe('subject', () => {${body}\n});`,
      `if (a) {${body}\n}`,
    ].join('\n');
    const functions = blocksOf(sample).filter(block => block.isFunction && block.lines > 3);
    expect(functions.map(block => block.head.trim().split(/[\s(<]/)[0])).toEqual([
      'function',
      'method',
      'const',
    ]);
  });
});

describe('the lock file', () => {
  interface LockEntry {
    readonly version?: string;
    readonly resolved?: string;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }
  const { packages } = JSON.parse(readFileSync(resolve(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>;
  };

  test('has an entry for every optional dependency, also of other platforms: npm ci asks for them', () => {
    const missing = Object.values(packages)
      .flatMap(entry => Object.keys(entry.optionalDependencies ?? {}))
      .filter(name => packages[`node_modules/${name}`]?.version === undefined);
    expect(missing).toEqual([]);
  });

  test('names no registry', () => {
    expect(Object.values(packages).filter(entry => entry.resolved !== undefined)).toEqual([]);
  });
});
