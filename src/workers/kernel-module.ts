/**
 * The compiled kernel, once a process: `native-layout/kernel.wasm`, which `npm run kernel` builds and the
 * package carries. Without it, or where WebAssembly does not know two memories, the plain twin serves.
 */
import { readFileSync } from 'node:fs';

const KERNEL_URL = new URL('../../native-layout/kernel.wasm', import.meta.url);

interface Kernel {
  readonly module: WebAssembly.Module | undefined;
  /** Why there is none. */
  readonly problem: string | undefined;
}

let kernel: Kernel | undefined;

export function compiledKernel(): Kernel {
  kernel ??= compile();
  return kernel;
}

function compile(): Kernel {
  try {
    return { module: new WebAssembly.Module(readFileSync(KERNEL_URL)), problem: undefined };
  } catch (error) {
    return { module: undefined, problem: (error as Error).message };
  }
}
