/** What the access keys say together, and the files that they name: one line for everything that is wrong. */
import { readIdentities } from '../access/access-keeper.ts';
import { parseAdministrators } from '../access/identity-file.ts';
import { readSmallFile } from '../access/read-file.ts';
import { readTlsMaterial } from '../access/tls-material.ts';
import { tlsOptions } from './options.ts';
import type { ConfigKeyName, ConfigValues } from './table.ts';

export function accessProblems(values: ConfigValues): string[] {
  return [...dataProblems(values), ...tlsProblems(values, 'tls'), ...tlsProblems(values, 'admin.tls')].concat(
    tokenProblems(values),
  );
}

/** The administrators of a file. Throws with its name and the lines at fault. */
export function readAdministrators(file: string) {
  try {
    return parseAdministrators(readSmallFile(file));
  } catch (cause) {
    throw new Error(`${file}: ${(cause as Error).message}`, { cause });
  }
}

function dataProblems(values: ConfigValues): string[] {
  const mode = values['access.mode'];
  const file = values['access.file'];
  const authority = values['tls.clientCaFile'];
  if (mode !== 'mutual-tls' && authority !== undefined) {
    return ['tls.clientCaFile: is set, but access.mode is not mutual-tls: it would keep nobody out'];
  }
  if (mode === 'open') {
    return file === undefined ? [] : ['access.file: is set, but access.mode is open: say "keys"'];
  }
  if (mode === 'keys' && file === undefined) return ['access.file: missing: access.mode is keys'];
  if (mode === 'mutual-tls' && authority === undefined) {
    return ['tls.clientCaFile: missing: access.mode is mutual-tls'];
  }
  return file === undefined ? [] : attempt('access.file', () => readIdentities(file, mode));
}

function tlsProblems(values: ConfigValues, prefix: 'tls' | 'admin.tls'): string[] {
  const [certificate, key, authority] = (['certificateFile', 'keyFile', 'clientCaFile'] as const).map(
    name => values[`${prefix}.${name}` satisfies ConfigKeyName],
  );
  if (certificate === undefined && key === undefined && authority === undefined) return [];
  if (certificate === undefined) return [`${prefix}.certificateFile: missing: TLS needs one`];
  if (key === undefined) return [`${prefix}.keyFile: missing: TLS needs one`];
  return attempt(prefix, () => readTlsMaterial(tlsOptions(values, prefix)!));
}

function tokenProblems(values: ConfigValues): string[] {
  const file = values['admin.tokensFile'];
  return file === undefined ? [] : attempt('admin.tokensFile', () => readAdministrators(file));
}

function attempt(name: string, read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    return [`${name}: ${(error as Error).message}`];
  }
}
