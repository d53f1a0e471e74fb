/**
 * Builds the kernel: `node native-layout/build-kernel.ts [FILE]` (npm run kernel). AssemblyScript compiles
 * `kernel/kernel.ts` over the private memory, `kernel/slot.wat` loads from the slot's, and Binaryen puts both
 * into one module of two memories and inlines. Takes two seconds. The result, `kernel.wasm`, is not in the
 * repository; neither is `kernel/constants.ts`, which carries the layout's declarations over.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as answerText from './answer-text.ts';
import * as kernelMemory from './kernel-memory.ts';
import { constantsOf, LAYOUT_CONSTANTS } from './layout-constants.ts';

const FOLDER = import.meta.dirname;
/** What Node 22.12 has without a flag. */
const FEATURES = [
  'simd',
  'relaxed-simd',
  'threads',
  'multimemory',
  'bulk-memory',
  'bulk-memory-opt',
  'nontrapping-float-to-int',
  'sign-ext',
  'mutable-globals',
].map(feature => `--enable-${feature}`);

function constantsSource(): string {
  const { KERNEL_VECTOR, ...places } = kernelMemory;
  const numbers = {
    ...LAYOUT_CONSTANTS,
    ...constantsOf(places),
    ...constantsOf(answerText),
    ...KERNEL_VECTOR,
  };
  return [
    '/** Written by build-kernel.ts from the declarations of the layout. */',
    ...Object.entries(numbers).map(([name, value]) => `export const ${name}: u32 = ${value};`),
    '',
  ].join('\n');
}

function run(program: string, args: readonly string[]): void {
  execFileSync(join(FOLDER, '..', 'node_modules', '.bin', program), args, { cwd: FOLDER, stdio: 'inherit' });
}

function build(output: string): void {
  const temporary = mkdtempSync(join(tmpdir(), 'sortition-kernel-'));
  const file = (name: string) => join(temporary, name);
  try {
    writeFileSync(join(FOLDER, 'kernel', 'constants.ts'), constantsSource());
    run('asc', [
      'kernel/kernel.ts',
      ...[
        '-O3',
        '--converge',
        '--noAssert',
        '--runtime',
        'stub',
        '--importMemory',
        '--enable',
        'simd',
        '--enable',
        'relaxed-simd',
      ],
      // Vectors cross between functions of two modules that become one.
      ...['--disableWarning', '112'],
      ...['-o', file('private.wasm')],
    ]);
    run('wasm-as', ['kernel/slot.wat', ...FEATURES, '-o', file('slot.wasm')]);
    run('wasm-merge', [
      ...[file('private.wasm'), 'kernel', file('slot.wasm'), 'slot', ...FEATURES],
      ...['--skip-export-conflicts', '-o', file('merged.wasm')],
    ]);
    run('wasm-opt', [file('merged.wasm'), ...FEATURES, '-O4', '--converge', '-o', output]);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

build(resolve(process.argv[2] ?? join(FOLDER, 'kernel.wasm')));
