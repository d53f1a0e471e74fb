#!/usr/bin/env node
/**
 * The `sortition` command. The Node version is checked before anything else is loaded: what follows uses
 * syntax and functions that older versions do not have, and would fail there without a clear word.
 */
try {
  await import('../workers/node-version.ts');
  const { runCli } = await import('./cli.ts');
  process.exitCode = await runCli(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
