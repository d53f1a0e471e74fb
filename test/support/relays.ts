/** The relay population: about 9,500 real nodes with real churn, kept beside the repository. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';

const FOLDER = resolve(import.meta.dirname, '../..', process.env.SHARED_FOLDER ?? '../shared', 'data/relays');

/** Path of a file of the data set; fails clearly where the data set is missing. */
export function relaysPath(name: 'population.csv' | 'churn.jsonl.gz'): string {
  const path = resolve(FOLDER, name);
  if (!existsSync(path))
    throw new Error(`the relay data set is not at ${FOLDER}; set SHARED_FOLDER to its parent`);
  return path;
}

/** Attributes of the rows below, in this order. */
export const RELAY_ATTRIBUTES = ['country', 'exit'];

export type RelayFields = readonly (string | number)[];

/** A row of the data set, `id, ip, port, ip6, port6, country, vetted, exit`. */
export function relayRow(fields: RelayFields): NodeRow {
  const [id, ip, port, , , country, vetted, exit] = fields;
  return {
    id: String(id),
    ip: String(ip),
    port: Number(port),
    vetted: String(vetted) === '1',
    attributes: [country === '' ? undefined : String(country), String(exit)],
  };
}

export function relayPopulation(): NodeRow[] {
  const lines = readFileSync(relaysPath('population.csv'), 'utf8').trim().split('\n');
  return lines.slice(1).map(line => relayRow(line.split(',')));
}

export interface ChurnHour {
  readonly at: number;
  readonly present: number;
  readonly upsert: readonly RelayFields[];
  readonly gone: readonly string[];
}

export function relayChurn(): ChurnHour[] {
  const text = gunzipSync(readFileSync(relaysPath('churn.jsonl.gz'))).toString('utf8');
  return text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as ChurnHour);
}
