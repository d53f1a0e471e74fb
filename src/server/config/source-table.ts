/** The keys that say where truth is read: location, table, columns, thresholds. */
import { CHANGE_MODES, type ChangeMode } from '../../workers/source/node-changes.ts';
import { COLUMN_ROLE_NAMES } from '../../workers/source/postgres/columns.ts';
import { boolean, choice, integer, map, text } from './key.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const COUNT_MAX = Number.MAX_SAFE_INTEGER;

const THRESHOLD_KEYS = {
  'source.thresholds.minFreeDiskBytes': integer<number | undefined>({
    default: undefined,
    defaultText: '5000000000',
    min: 0,
    max: COUNT_MAX,
    unit: 'bytes',
    description: 'Less free space than this: `full`.',
  }),
  'source.thresholds.onlineWindowMs': integer<number | undefined>({
    default: undefined,
    defaultText: '14400000',
    min: 1,
    max: 3_650 * DAY_MS,
    unit: 'ms',
    description: 'Last successful contact longer ago than this: `offline`.',
  }),
  'source.thresholds.goneAfterMs': integer<number | undefined>({
    default: undefined,
    defaultText: '2592000000',
    min: 1,
    max: 3_650 * DAY_MS,
    unit: 'ms',
    description: 'Last successful contact longer ago than this: left out altogether.',
  }),
  'source.thresholds.nodeType': integer<number | undefined>({
    default: undefined,
    defaultText: '2',
    min: -2_147_483_648,
    max: 2_147_483_647,
    description: 'Value of the `type` column that means storage node.',
  }),
  'source.thresholds.minAuditCount': integer<number | undefined>({
    default: undefined,
    defaultText: 'off',
    min: 0,
    max: COUNT_MAX,
    description: 'Fewest audits; needs `source.columns` to map `auditCount`.',
  }),
  'source.thresholds.minUptimeCount': integer<number | undefined>({
    default: undefined,
    defaultText: 'off',
    min: 0,
    max: COUNT_MAX,
    description: 'Fewest uptime checks; needs `source.columns` to map `uptimeCount`.',
  }),
  'source.thresholds.minimumVersion': text<string | undefined>({
    default: undefined,
    defaultText: 'off',
    pattern: /^\d{1,9}\.\d{1,9}\.\d{1,9}$/,
    accepts: 'three numbers, such as 1.95.0',
    description: 'Oldest version that can be chosen.',
  }),
  'source.thresholds.releaseOnly': boolean<boolean | undefined>({
    default: undefined,
    defaultText: 'false',
    description: 'Only release builds can be chosen.',
  }),
};

export const SOURCE_KEYS = {
  'source.location': text<string | undefined>({
    default: undefined,
    accepts: 'postgres://user@host:port/database, or the path of a .csv, .jsonl or .ndjson file',
    secret: true,
    description: 'Where truth is read: a Postgres URL, or a file.',
  }),
  'source.urlFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'File whose first line is the location, for a URL that holds a password.',
  }),
  'source.passwordFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'File whose first line is the Postgres password; read for every connection.',
  }),
  'source.table': text<string | undefined>({
    default: undefined,
    defaultText: 'nodes',
    accepts: 'a table, view or materialized view, as SQL names it',
    description: 'What the default query reads.',
  }),
  'source.columns': map<string | null>({
    names: COLUMN_ROLE_NAMES,
    nullable: true,
    description: 'Role → column; `null` switches a criterion or an optional column off.',
  }),
  'source.attributes': map<string>({
    nullable: false,
    description: 'Attribute → column, for attributes whose column has another name.',
  }),
  'source.query': text<string | undefined>({
    default: undefined,
    accepts: 'an SQL query',
    description: 'Replaces table, columns and thresholds: yields `id`, `ip`, `port`, and what else it may.',
  }),
  ...THRESHOLD_KEYS,
  'source.changes': choice<ChangeMode | 'auto'>({
    default: 'auto',
    choices: ['auto', ...CHANGE_MODES],
    description:
      'How changes become known between two loads of a Postgres table: by triggers (`install-triggers`), ' +
      'by polling the column `updatedAt`, not at all, or by the best of these that works.',
  }),
  'source.pollMs': integer<number | undefined>({
    default: undefined,
    defaultText: '1000',
    min: 50,
    max: HOUR_MS,
    unit: 'ms',
    description: 'Time between two polls of the column `updatedAt`.',
  }),
  'source.pollOverlapMs': integer<number | undefined>({
    default: undefined,
    defaultText: '10000',
    min: 0,
    max: HOUR_MS,
    unit: 'ms',
    description: 'How far a poll looks behind the newest time seen: for transactions that commit late.',
  }),
  'source.connectTimeoutMs': integer<number | undefined>({
    default: undefined,
    defaultText: '5000',
    min: 1,
    max: DAY_MS,
    unit: 'ms',
    description: 'Limit of connecting to Postgres.',
  }),
  'source.statementTimeoutMs': integer<number | undefined>({
    default: undefined,
    defaultText: '60000',
    min: 1,
    max: DAY_MS,
    unit: 'ms',
    description: 'Limit of one statement.',
  }),
};
