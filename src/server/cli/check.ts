/**
 * `sortition check`: configuration, then the source, step by step; names what is wrong and what to do about
 * it.
 */
import type { Command } from 'commander';
import { errorData } from '../../engine/errors.ts';
import { placementPlan } from '../../engine/placement/placement-plan.ts';
import { openSource } from '../../workers/source/open-source.ts';
import type { CheckStep } from '../../workers/source/row-source.ts';
import type { Config } from '../config.ts';
import { addConfigFlags, commandConfig } from './config-flags.ts';
import { EXIT_FAILURE } from './exit.ts';
import { printJson, printLine } from './output.ts';

export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .description('Check configuration, connection, schema and rows; name exactly what is wrong.')
    .option('--json', 'Print the steps as JSON.');
  addConfigFlags(command);
  command
    .addHelpText(
      'after',
      `
Examples:
  sortition check --source nodes.csv
  sortition check --config sortition.json --json

Exits with 1 when a step fails.`,
    )
    .action(async (flags: { json?: boolean }) => {
      const steps: CheckStep[] = [];
      for await (const step of checkSteps(command)) {
        steps.push(step);
        if (flags.json !== true) printStep(step);
      }
      const ok = steps.every(step => step.ok);
      if (flags.json === true) printJson({ ok, steps });
      if (!ok) process.exitCode = EXIT_FAILURE;
    });
}

async function* checkSteps(command: Command): AsyncGenerator<CheckStep> {
  let config: Config;
  try {
    config = commandConfig(command);
  } catch (error) {
    const lines = (error as Error).message.split('\n');
    for (const detail of lines) yield { name: 'configuration', ok: false, detail };
    return;
  }
  yield { name: 'configuration', ok: true, detail: 'every key is known and every value accepted' };
  yield* sourceSteps(config);
}

async function* sourceSteps({ cache, values }: Config): AsyncGenerator<CheckStep> {
  const { placements = {}, distinctAttributes = [] } = cache;
  const { attributes } = placementPlan({ placements, distinctAttributes });
  const source = openSource(cache.source);
  try {
    const signal = AbortSignal.timeout(values['refresh.timeoutMs']);
    yield* source.check({ attributes, signal });
  } catch (error) {
    const { code, message } = errorData(error, 'SOURCE_FAILED');
    yield { name: 'source', ok: false, detail: `${code}: ${message}` };
  } finally {
    await source.close();
  }
}

function printStep({ ok, name, detail, hint }: CheckStep): void {
  printLine(`${ok ? '✓' : '✗'} ${name}: ${detail}`);
  if (!ok && hint !== undefined) printLine(`  → ${hint}`);
}
