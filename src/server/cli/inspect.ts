/** `sortition inspect`: what is in a snapshot file, once it has passed every check. */
import type { Command } from 'commander';
import {
  DIGEST_WORDS,
  HEADER_BYTES,
  HEADER_WORD,
  LAYOUT_VERSION,
} from '../../../native-layout/snapshot-header.ts';
import { CacheError } from '../../engine/errors.ts';
import { type InspectedSnapshot, inspectSnapshotFile } from '../../workers/snapshot-file.ts';
import { count } from '../summary/numbers.ts';
import { EXIT_FAILURE, EXIT_USAGE, ExitError } from './exit.ts';
import { pairs, printJson, printLine, table } from './output.ts';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description('Show what is in a snapshot file: header, counts, digest, signature, bytes by column.')
    .argument('<file>', 'Snapshot file, as `snapshotFile` writes it.')
    .option('--json', 'Print it as JSON.')
    .option(
      '--public-key <file>',
      'Check its signature: PEM file of an Ed25519 public key. May be given again for another one.',
      (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
    )
    .addHelpText(
      'after',
      `
Examples:
  sortition inspect /var/lib/sortition/nodes.snapshot
  sortition inspect /var/lib/sortition/nodes.snapshot --public-key loader.pem`,
    )
    .action(async (file: string, flags: { json?: boolean; publicKey?: readonly string[] }) => {
      // Reading checks magic, version, length, digest and signature: what does not pass throws here.
      const report = inspection(await inspected(file, flags.publicKey));
      if (flags.json === true) printJson(report);
      else printInspection(report);
    });
}

/** Throws `ExitError`, in words of this command: the file, or the flag, that is at fault. */
async function inspected(file: string, publicKeys: readonly string[] = []): Promise<InspectedSnapshot> {
  try {
    return await inspectSnapshotFile(file, publicKeys);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    const { code, field, message } = error;
    if (field === PUBLIC_KEYS_FIELD) {
      throw new ExitError(message.replace(PUBLIC_KEYS_FIELD, '--public-key'), EXIT_USAGE);
    }
    // What cannot be read at all is named there.
    throw new ExitError(code === 'SOURCE_UNAVAILABLE' ? message : `${file}: ${message}`, EXIT_FAILURE);
  }
}

/** What the configuration calls the keys of `--public-key`. */
const PUBLIC_KEYS_FIELD = 'snapshotSigning.publicKeyFiles';

type Inspection = ReturnType<typeof inspection>;

function inspection({ snapshot, signatureFile, signedBy }: InspectedSnapshot) {
  const { layout, header } = snapshot.views;
  const digest = header.subarray(HEADER_WORD.DIGEST, HEADER_WORD.DIGEST + DIGEST_WORDS);
  return {
    layoutVersion: LAYOUT_VERSION,
    generation: snapshot.generation,
    readAt: new Date(snapshot.readAtUnix).toISOString(),
    digest: [...digest].map(word => word.toString(16).padStart(8, '0')).join(''),
    digestMatches: true,
    signature: signatureFile === undefined ? null : { file: signatureFile, signedBy: signedBy ?? null },
    nodes: {
      total: snapshot.rowCount,
      vetted: snapshot.vettedCount,
      new: snapshot.newCount,
      ineligible: snapshot.rowCount - snapshot.vettedCount - snapshot.newCount,
      networks: snapshot.networksUsed,
    },
    bytes: layout.byteLength,
    columns: [
      { name: 'header', byteOffset: 0, byteLength: HEADER_BYTES },
      ...layout.columns.map(({ name, byteOffset, byteLength }) => ({ name, byteOffset, byteLength })),
    ],
  };
}

function signatureText({ signature }: Inspection): string {
  if (signature === null) return 'none';
  if (signature.signedBy === null) return `${signature.file}, not checked (--public-key)`;
  return `✓ by key ${signature.signedBy}`;
}

function printInspection(report: Inspection): void {
  const { nodes } = report;
  const lines = pairs([
    ['layout version', String(report.layoutVersion)],
    ['generation', String(report.generation)],
    ['read at', report.readAt],
    ['digest', `${report.digest} ✓ matches the content`],
    ['signature', signatureText(report)],
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
