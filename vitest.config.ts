import { defineConfig } from 'vitest/config';
import { ClosingLine } from './test/support/closing-line.ts';

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', new ClosingLine()],
    // Tests start servers, threads and processes: two files at a time, each in a process of its own.
    pool: 'forks',
    maxWorkers: 2,
    // V8 may end a process whose worker threads end, where the processor has protection keys: see README.md.
    execArgv: ['--no-memory-protection-keys'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
