/** `sortition inspect`: what is in a snapshot file, once it has passed every check. */
import type { Command } from 'commander';
import {
  DIGEST_WORDS,
  HEADER_BYTES,
  HEADER_WORD,
  LAYOUT_VERSION,
} from '../../../native-layout/snapshot-header.ts';
import type { Snapshot } from '../../engine/snapshot/snapshot.ts';
import { readSnapshotFile } from '../../workers/snapshot-file.ts';
import { count, pairs, printJson, printLine, table } from './output.ts';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description('Show what is in a snapshot file: header, counts, digest, bytes by column.')
    .argument('<file>', 'Snapshot file, as `snapshotFile` writes it.')
    .option('--json', 'Print it as JSON.')
    .addHelpText('after', '\nExample:\n  sortition inspect /var/lib/sortition/nodes.snapshot')
    .action(async (file: string, flags: { json?: boolean }) => {
      // Reading checks magic, version, length and digest: what does not pass throws here.
      const report = inspection(await readSnapshotFile(file));
      if (flags.json === true) printJson(report);
      else printInspection(report);
    });
}

type Inspection = ReturnType<typeof inspection>;

function inspection(snapshot: Snapshot) {
  const { layout, header } = snapshot.views;
  const digest = header.subarray(HEADER_WORD.DIGEST, HEADER_WORD.DIGEST + DIGEST_WORDS);
  return {
    layoutVersion: LAYOUT_VERSION,
    generation: snapshot.generation,
    readAt: new Date(snapshot.readAtUnix).toISOString(),
    digest: [...digest].map(word => word.toString(16).padStart(8, '0')).join(''),
    digestMatches: true,
    nodes: {
      total: snapshot.rowCount,
      vetted: snapshot.vettedCount,
      new: snapshot.newCount,
      ineligible: snapshot.rowCount - snapshot.vettedCount - snapshot.newCount,
      networks: snapshot.networkCount,
    },
    bytes: layout.byteLength,
    columns: [
      { name: 'header', byteOffset: 0, byteLength: HEADER_BYTES },
      ...layout.columns.map(({ name, byteOffset, byteLength }) => ({ name, byteOffset, byteLength })),
    ],
  };
}

function printInspection(report: Inspection): void {
  const { nodes } = report;
  const lines = pairs([
    ['layout version', String(report.layoutVersion)],
    ['generation', String(report.generation)],
    ['read at', report.readAt],
    ['digest', `${report.digest} ✓ matches the content`],
    [
      'nodes',
      `${count(nodes.vetted)} vetted, ${count(nodes.new)} new, ${count(nodes.ineligible)} not to be chosen`,
    ],
    ['networks', count(nodes.networks)],
    ['bytes', `${count(report.bytes)}, ${(report.bytes / Math.max(1, nodes.total)).toFixed(1)} a node`],
  ]);
  for (const line of lines) printLine(line);
  printLine();
  const rows = report.columns.map(column => [
    column.name,
    column.byteOffset,
    column.byteLength,
    Number((column.byteLength / Math.max(1, nodes.total)).toFixed(1)),
  ]);
  for (const line of table(['column', 'offset', 'bytes', 'a node'], rows)) printLine(line);
}
