import { describe, expect, test } from 'vitest';
import { fileSource } from '../../../src/workers/source/file-source.ts';
import { nearest } from '../../../src/workers/source/nearest.ts';
import { openSource, parseSourceText, type SourceOptions } from '../../../src/workers/source/open-source.ts';
import { postgresSource } from '../../../src/workers/source/postgres-source.ts';

type Loose = Parameters<typeof postgresSource>[0];

const SECRET = 'hunter2-never-to-be-seen';

describe('postgresSource', () => {
  test('makes plain data that a structured clone keeps', () => {
    const options = postgresSource({
      connectionString: 'postgres://u@h:5432/d',
      columns: { freeDisk: null, id: 'node_id' },
      thresholds: { minimumVersion: '1.95.0' },
      attributes: { operator: 'wallet' },
    });
    expect(structuredClone(options)).toEqual(options);
    expect(options.kind).toBe('postgres');
    expect(openSource(structuredClone(options)).description).toBe('postgres: nodes of d at h:5432, as u');
  });

  test.each<[unknown, string, string]>([
    [{ tabel: 'nodes' }, 'tabel', 'unknown key (did you mean "table"?)'],
    [{ columns: { freedisk: 'x' } }, 'columns.freedisk', '(did you mean "freeDisk"?)'],
    [
      { thresholds: { minFreeDiskByte: 1 } },
      'thresholds.minFreeDiskByte',
      '(did you mean "minFreeDiskBytes"?)',
    ],
    [{ connectionString: `mysql://u:${SECRET}@h/d` }, 'connectionString', 'expected postgres://'],
    [{ connectionString: `postgres://u:${SECRET}@h:port/d` }, 'connectionString', 'expected postgres://'],
    [{ table: '' }, 'table', 'expected a text'],
    [{ table: 7 }, 'table', 'found 7'],
    [{ columns: [] }, 'columns', 'expected an object, found an array'],
    [{ columns: { id: null } }, 'columns.id', 'cannot be switched off'],
    [{ columns: { address: null } }, 'columns.address', 'cannot be switched off unless'],
    [{ columns: { ip: 'ip' } }, 'columns.port', 'map both'],
    [{ columns: { port: 'port' } }, 'columns.ip', 'map both'],
    [{ columns: { ip: 'ip', port: 'port', address: 'a' } }, 'columns.address', 'no effect'],
    [{ thresholds: { minAuditCount: 1 } }, 'columns.auditCount', 'needs the column'],
    [{ columns: { uptimeCount: 'u' } }, 'thresholds.minUptimeCount', 'say the minimum'],
    [{ thresholds: { onlineWindowMs: 0 } }, 'thresholds.onlineWindowMs', 'expected an integer from 1'],
    [{ thresholds: { onlineWindowMs: 1e9, goneAfterMs: 1e8 } }, 'thresholds.goneAfterMs', 'is shorter than'],
    [{ thresholds: { minimumVersion: '1.95' } }, 'thresholds.minimumVersion', 'three numbers'],
    [{ thresholds: { releaseOnly: 'yes' } }, 'thresholds.releaseOnly', 'expected true or false'],
    [{ thresholds: { releaseOnly: true }, columns: { release: null } }, 'columns.release', 'switched off'],
    [{ thresholds: { minFreeDiskBytes: '5e9' } }, 'thresholds.minFreeDiskBytes', 'found a text'],
    [{ query: 'SELECT 1', table: 'nodes' }, 'table', 'no effect beside "query"'],
    [{ query: ' ' }, 'query', 'expected a text'],
    [{ statementTimeoutMs: 0.5 }, 'statementTimeoutMs', 'expected an integer'],
    [{ attributes: { country: 7 } }, 'attributes.country', 'expected a text'],
    [{ changes: 'trigger' }, 'changes', 'expected "auto", "triggers", "updated-at", "none"'],
    [{ changes: 'triggers', query: 'SELECT 1' }, 'changes', 'a query is only read as a whole'],
    [{ pollMs: 10 }, 'pollMs', 'expected an integer from 50'],
    [{ pollOverlapMs: -1 }, 'pollOverlapMs', 'expected an integer from 0'],
  ])('refuses %o and names the key', (options, field, message) => {
    const failure = expect(() => postgresSource(options as Loose));
    failure.toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', field, message: expect.stringContaining(message) }),
    );
    failure.not.toThrow(expect.objectContaining({ message: expect.stringContaining(SECRET) }));
  });
});

describe('a misspelt key', () => {
  test.each([
    ['prot', ['id', 'ip', 'port'], 'port'],
    ['adress', ['address', 'access'], 'address'],
    ['xyz', ['id', 'ip', 'port'], undefined],
    ['disk', ['free_disk_bytes', 'dusk'], 'free_disk_bytes'],
  ])('%s among %j means %s', (word, candidates, meant) => {
    expect(nearest(word, candidates)).toBe(meant);
  });
});

describe('fileSource', () => {
  test('settles the format by the extension, or as it is told', () => {
    expect(openSource(fileSource('a/nodes.csv')).description).toBe('file: a/nodes.csv (csv)');
    expect(openSource(fileSource('NODES.NDJSON')).description).toBe('file: NODES.NDJSON (jsonl)');
    expect(openSource(fileSource({ path: 'nodes', format: 'jsonl' })).description).toBe(
      'file: nodes (jsonl)',
    );
  });

  test.each<[unknown, string]>([
    ['nodes.txt', 'format'],
    ['', 'path'],
    [{ path: 'a.csv', fromat: 'csv' }, 'fromat'],
    [{ path: 'a.csv', format: 'xml' }, 'format'],
  ])('refuses %o and names the key', (options, field) => {
    const failure = () => fileSource(options as string);
    expect(failure).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', field }));
  });
});

describe('a source as text', () => {
  test.each<[string, SourceOptions]>([
    ['postgres://u@h/d', { kind: 'postgres', connectionString: 'postgres://u@h/d' }],
    ['PostgreSQL://u@h/d', { kind: 'postgres', connectionString: 'postgresql://u@h/d' }],
    ['../shared/population.csv', { kind: 'file', path: '../shared/population.csv' }],
    ['nodes.jsonl', { kind: 'file', path: 'nodes.jsonl' }],
  ])('%s is understood', (text, options) => {
    expect(parseSourceText(text)).toEqual(options);
  });

  test.each(['', 'nodes', 'nodes.txt', `mysql://u:${SECRET}@h/d`, `postgres://u:${SECRET}@h:x/d`])(
    '%s is refused without showing a password',
    text => {
      const failure = expect(() => parseSourceText(text));
      failure.toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
      failure.not.toThrow(expect.objectContaining({ message: expect.stringContaining(SECRET) }));
    },
  );

  test('of an unknown kind is refused with the nearest one', () => {
    const failure = () => openSource({ kind: 'postgre' } as unknown as SourceOptions);
    expect(failure).toThrow(
      expect.objectContaining({ field: 'kind', message: expect.stringContaining('"postgres"') }),
    );
  });
});
