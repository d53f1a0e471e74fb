import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CREATE_NODES, seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { population } from '../../../src/server/demo/population.ts';
import {
  COLUMN_ROLE_NAMES,
  COLUMN_ROLES,
  type ColumnRoleSpec,
} from '../../../src/workers/source/postgres/columns.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { checkAll, readAll } from '../../support/row-source.ts';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await seedNodes(postgres.client, population({ seed: 5, nowMs: Date.now(), count: 500 }));
});

afterAll(() => postgres.stop());

function opened(options: Parameters<typeof postgresSource>[0] = {}) {
  return openPostgresSource(postgresSource({ connectionString: postgres.connectionString, ...options }));
}

/** A table like `nodes`, empty, changed by `alter`. */
async function changed(alter: string): Promise<void> {
  await postgres.client.query('DROP TABLE IF EXISTS changed');
  await postgres.client.query(CREATE_NODES.replace('CREATE TABLE nodes', 'CREATE TABLE changed'));
  await postgres.client.query(`ALTER TABLE changed ${alter}`);
}

const DEFAULT_COLUMNS = COLUMN_ROLE_NAMES.flatMap(role => {
  const spec: ColumnRoleSpec = COLUMN_ROLES[role];
  return spec.column === null ? [] : [{ role, ...spec, column: spec.column }];
});

/** Read only where `thresholds` ask for a version or a release. */
const VERSION_THRESHOLDS = { minimumVersion: '1.0.0', releaseOnly: true };

describe('a column', () => {
  test.each(DEFAULT_COLUMNS.filter(({ optional }) => optional !== true))(
    '$column that is missing is named, with the nearest one and the key that maps it',
    async ({ role, column, criterion }) => {
      await changed(`RENAME ${column} TO ${column}_of_old`);
      const source = opened({ table: 'changed', thresholds: VERSION_THRESHOLDS });
      const remedy = criterion === undefined ? `columns.${role}` : `columns.${role}: null`;
      await expect(readAll(source)).rejects.toMatchObject({
        code: 'SOURCE_SCHEMA',
        field: `columns.${role}`,
        message: expect.stringMatching(
          new RegExp(
            `table public.changed has no column "${column}" \\(nearest: "${column}_of_old"\\).*${remedy}`,
          ),
        ),
      });
      const failed = (await checkAll(source)).filter(({ ok }) => !ok);
      expect(failed).toMatchObject([{ name: 'columns', hint: expect.stringContaining(`columns.${role}`) }]);
      const mapped = {
        table: 'changed',
        thresholds: VERSION_THRESHOLDS,
        columns: { [role]: `${column}_of_old` },
      };
      expect((await readAll(opened(mapped))).rows).toEqual([]);
    },
  );

  // Nothing is read from `updated_at`: of a wrong type it is only no use for polling.
  test.each(DEFAULT_COLUMNS.filter(({ role }) => role !== 'updatedAt'))(
    '$column of a wrong type is named with its type and the types accepted',
    async ({ role, column }) => {
      await changed(`DROP ${column} CASCADE, ADD ${column} point`);
      const source = opened({ table: 'changed', thresholds: VERSION_THRESHOLDS });
      await expect(readAll(source)).rejects.toMatchObject({
        code: 'SOURCE_SCHEMA',
        field: `columns.${role}`,
        message: expect.stringMatching(new RegExp(`column "${column}" .* has type point; accepted: \\w`)),
      });
      const failed = (await checkAll(source)).filter(({ ok }) => !ok);
      expect(failed).toMatchObject([{ name: 'types' }]);
    },
  );

  test.each(DEFAULT_COLUMNS.filter(({ optional }) => optional === true))(
    '$column is not missed, unless it is mapped by name',
    async ({ role, column }) => {
      await changed(`DROP ${column}`);
      expect((await readAll(opened({ table: 'changed' }))).rows).toEqual([]);
      const mapped = { table: 'changed', columns: { [role]: column } };
      await expect(readAll(opened(mapped))).rejects.toMatchObject({
        code: 'SOURCE_SCHEMA',
        field: `columns.${role}`,
      });
    },
  );

  test('updated_at of a wrong type is no obstacle to a read', async () => {
    await changed('DROP updated_at, ADD updated_at int');
    const source = opened({ table: 'changed' });
    expect((await readAll(source)).rows).toEqual([]);
    const step = (await checkAll(source)).find(({ name }) => name === 'changes');
    expect(step).toMatchObject({ ok: true, detail: expect.stringMatching(/"updated_at" .* type integer/) });
  });

  test('of a domain is taken by the type below it', async () => {
    await postgres.client.query('CREATE DOMAIN node_id AS bytea; CREATE DOMAIN space AS bigint');
    await changed('DROP id, ADD id node_id, ALTER free_disk TYPE space');
    expect((await readAll(opened({ table: 'changed' }))).rows).toEqual([]);
  });

  test('of each problem is listed, not only the first', async () => {
    await changed('DROP free_disk, DROP type, ALTER country_code TYPE int USING 1');
    const failed = (await checkAll(opened({ table: 'changed' }))).filter(({ ok }) => !ok);
    expect(failed.map(({ name }) => name)).toEqual(['columns', 'columns', 'types']);
  });

  test('that attributes maps and the table has not is named', async () => {
    const source = opened({ attributes: { operator: 'walet' } });
    await expect(readAll(source, ['operator'])).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      field: 'attributes.operator',
      message: expect.stringContaining('did you mean "wallet"?'),
    });
  });
});

describe('an attribute of the placements', () => {
  test.each([
    ['that is misspelt', {}, 'contry_code', 'did you mean "country_code"?'],
    [
      'whose column is switched off',
      { columns: { country: null } },
      'country',
      'columns.country is switched off',
    ],
  ])('%s keeps the table from being read, and fails the check', async (_what, options, name, message) => {
    const source = opened(options);
    await expect(readAll(source, [name])).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      field: `attributes.${name}`,
      message: expect.stringContaining(message),
    });
    const failed = (await checkAll(source, [name])).filter(({ ok }) => !ok);
    expect(failed).toMatchObject([{ name: 'attributes', detail: expect.stringContaining(message) }]);
  });
});

describe('a table', () => {
  test('that does not exist is named with the nearest one', async () => {
    const source = opened({ table: 'node' });
    await expect(readAll(source)).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      field: 'table',
      message: expect.stringContaining('no table or view "node" (did you mean "nodes"?)'),
    });
    expect((await checkAll(source)).at(-1)).toMatchObject({ name: 'relation', ok: false });
  });

  test.each(['a b', 'nodes; DROP TABLE nodes', `nodes" --`, 'a.b.c.d'])(
    'called %s is refused and does nothing else',
    async table => {
      await expect(readAll(opened({ table }))).rejects.toMatchObject({ name: 'CacheError' });
      expect((await readAll(opened())).rows.length).toBeGreaterThan(300);
    },
  );
});

describe('the check', () => {
  test('passes on the demo table and says how many each criterion removes', async () => {
    const steps = await checkAll(opened(), ['country']);
    expect(steps.map(({ name, ok }) => [name, ok])).toEqual([
      ['connect', true],
      ['authenticate', true],
      ['database', true],
      ['relation', true],
      ['columns', true],
      ['types', true],
      ['changes', true],
      ['rows', true],
    ]);
    expect(steps.at(-1)?.detail).toMatch(
      /^500 rows; left out: dis.* \d+; not eligible: .*full \d+.*; eligible: \d{3} \(vetted \d+, new \d+\)$/,
    );
  });

  test('names the criterion that removed most when no node is eligible', async () => {
    const steps = await checkAll(opened({ thresholds: { minFreeDiskBytes: 1e15 } }));
    expect(steps.at(-1)).toMatchObject({
      name: 'rows',
      ok: false,
      hint: expect.stringMatching(/^no node is eligible: the criterion "full" removes most, \d+ of 500$/),
    });
  });

  test('says that an empty table is empty', async () => {
    await changed('DROP wallet');
    expect((await checkAll(opened({ table: 'changed' }))).at(-1)).toMatchObject({
      ok: false,
      hint: 'the source is empty',
    });
  });
});
