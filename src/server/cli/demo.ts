/** `sortition demo`: everything on this machine, from a real Postgres to ready-to-paste requests. */
import type { Command } from 'commander';

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('See it work: embedded Postgres, 10,830 nodes with live churn, cache, HTTP server.')
    .addHelpText('after', '\nExample:\n  sortition demo\n\nCtrl-C ends everything and leaves nothing behind.')
    .action(async () => {
      // The embedded Postgres is a development dependency: no other command loads it.
      const { runDemo } = await import('../demo/demo.ts');
      await runDemo();
    });
}
