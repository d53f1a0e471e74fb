import { defineConfig } from 'vitest/config';
import { ClosingLine } from './test/support/closing-line.ts';
import { FailedFiles } from './test/support/failed-files.ts';
import { GoalTable } from './test/verify/goal-table.ts';

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', new GoalTable(), new FailedFiles(), new ClosingLine()],
    // Tests start servers, threads and processes: two files at a time, each in a process of its own.
    pool: 'forks',
    maxWorkers: 2,
    // V8 may end a process whose worker threads end; less often without protection keys: see README.md.
    execArgv: ['--no-memory-protection-keys'],
    testTimeout: 60_000,
    // Not one second: what is waited for takes as long as the machine lets it.
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 120_000,
  },
});
