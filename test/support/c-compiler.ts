/** Compiles C with gcc, for tests and benches of what other programs do with the layout. */
import { spawnSync } from 'node:child_process';

const ADVICE = 'install gcc and the headers of the C library (Debian: apt-get install gcc libc6-dev)';

export interface Compilation {
  readonly source: string;
  /** The program to make. */
  readonly program: string;
  readonly flags: readonly string[];
}

/** Throws an error that says what to install, or what the compiler says. */
export function compileC({ source, program, flags }: Compilation): void {
  const { error, status, stderr } = spawnSync('gcc', [...flags, '-o', program, source], { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`cannot run gcc (${error.message}): ${ADVICE}`, { cause: error });
  if (status === 0) return;
  const missing = /fatal error: .*No such file or directory/.test(stderr) ? `: ${ADVICE}` : '';
  throw new Error(`gcc cannot compile ${source}${missing}\n${stderr}`);
}
