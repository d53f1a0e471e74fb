/**
 * A CSV file in a folder of its own that a test fills, changes and takes away, as the owner of a table would.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { networksOf, type TestNode, testRow } from './population.ts';

export class CsvFile {
  readonly folder = mkdtempSync(join(tmpdir(), 'sortition-test-'));
  readonly path = join(this.folder, 'nodes.csv');

  constructor(nodes: readonly TestNode[] = []) {
    this.write(nodes);
  }

  write(nodes: readonly TestNode[]): void {
    this.writeRows(nodes.map(testRow), ['country', 'exit']);
  }

  /** Written aside and renamed: a load that runs meanwhile reads the old file or the new one. */
  writeRows(rows: readonly NodeRow[], attributes: readonly string[]): void {
    const lines = rows.map(({ id, ip, port, vetted, ineligible, attributes: values }) =>
      [id, ip, port, vetted ? 1 : 0, ineligible, ...values].map(value => value ?? '').join(','),
    );
    this.writeText(`${['id,ip,port,vetted,ineligible', ...attributes].join(',')}\n${lines.join('\n')}\n`);
  }

  writeText(text: string): void {
    const aside = join(this.folder, 'aside');
    writeFileSync(aside, text);
    renameSync(aside, this.path);
  }

  takeAway(): void {
    rmSync(this.path);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** `count` vetted nodes, each in a network of its own. */
export function vettedNodes(count: number, firstNumber = 0): TestNode[] {
  return networksOf(Array(count).fill(1), 'vetted', { network: firstNumber, number: firstNumber });
}
