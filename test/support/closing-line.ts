/** A vitest reporter that ends the run with `N passed, N failed`, for programs that read only that. */
import type { Reporter, TestModule } from 'vitest/node';

export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0;
    let failed = 0;
    for (const module of modules) {
      let moduleFailed = module.state() === 'failed';
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        if (state === 'failed') {
          failed++;
          moduleFailed = false;
        }
      }
      // A module that failed outside its tests (an import, a hook) counts as one failure.
      if (moduleFailed) failed++;
    }
    console.log(`\n${passed} passed, ${failed} failed`);
  }
}
