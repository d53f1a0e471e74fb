/** A vitest reporter that leaves paths of failed test files, a line each, in the file of `FAILED_FILES`. */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

export class FailedFiles implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const { FAILED_FILES: path } = process.env;
    if (path === undefined) return;
    const failed = modules.filter(module => module.state() === 'failed');
    writeFileSync(path, failed.map(({ moduleId }) => `${moduleId}\n`).join(''));
  }
}
