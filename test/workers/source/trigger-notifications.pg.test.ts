/** What the triggers notify, and what they keep quiet about, on every PostgreSQL that is on this machine. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CREATE_NODES } from '../../../src/server/demo/nodes-table.ts';
import { postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { postgresVersions } from '../../support/postgres-versions.ts';
import { changeTriggers, TriggerListener } from '../../support/trigger-listener.ts';

/** A healthy node whose id is that digit, 64 times. */
const healthy = (digit: string, table = 'nodes') => `
  INSERT INTO ${table} (id, address, last_net, last_ip_port, country_code, type, email, wallet, free_disk,
    major, minor, patch, release, vetted_at, created_at, updated_at, last_contact_success)
  VALUES (decode(repeat('${digit}', 64), 'hex'), 'host', '5.1.${digit.codePointAt(0)}.0',
    '5.1.${digit.codePointAt(0)}.9:28967', 'DE', 2, 'e', 'w', 9e12, 1, 2, 3, true, now(), now(), now(),
    now() - interval '1 hour')`;
const id = (digit: string) => `decode(repeat('${digit}', 64), 'hex')`;

describe.each(postgresVersions())('on $name', ({ settings, binaries }) => {
  let postgres: TestPostgres;
  let listener: TriggerListener;

  beforeAll(async () => {
    postgres = await startTestPostgres(settings, binaries);
    await postgres.client.query(CREATE_NODES);
    const options = postgresSource({ connectionString: postgres.connectionString });
    const { channel } = await changeTriggers(options);
    listener = await TriggerListener.open(postgres.connectionString, channel);
  });

  afterAll(async () => {
    await listener.close();
    await postgres.stop();
  });

  /** What is notified of some statements, run as one transaction. */
  async function notified(statements: string): Promise<string> {
    await postgres.client.query(`BEGIN; ${statements}; COMMIT`);
    return listener.heard(postgres.client);
  }

  describe('an update of a healthy node that sets', () => {
    beforeEach(async () => {
      await notified(`TRUNCATE nodes; ${healthy('a')}; ${healthy('b')}`);
    });

    test.each([
      ['last_contact_success = now()', ''],
      ["last_contact_success = now() - interval '2 hours'", ''],
      ["last_contact_success = now() - interval '5 hours'", 'aa:1'],
      ["last_contact_success = now() - interval '40 days'", 'aa:1'],
      ['free_disk = free_disk', ''],
      ['free_disk = 5000000000', ''],
      ['free_disk = 4999999999', 'aa:1'],
      ["email = 'x', wallet = 'y', address = 'z', created_at = now(), updated_at = now()", ''],
      ['major = 7, minor = 7, patch = 7, release = false', ''],
      ["last_ip_port = '5.1.97.10:28967'", 'aa:0'],
      ['last_ip_port = NULL', 'aa:0'],
      ["last_net = '5.9.9.0'", 'aa:0'],
      ["country_code = 'FR'", 'aa:0'],
      ["country_code = 'DE'", ''],
      ['country_code = NULL', 'aa:0'],
      ["vetted_at = now() - interval '1 day'", ''],
      ['vetted_at = NULL', 'aa:0'],
      ['disqualified = now()', 'aa:1'],
      ['exit_initiated_at = now()', 'aa:1'],
      ['exit_finished_at = now()', 'aa:1'],
      ['unknown_audit_suspended = now()', 'aa:1'],
      ['offline_suspended = now()', 'aa:1'],
      ['type = 1', 'aa:1'],
      [`id = ${id('c')}`, 'aa:1 cc:0'],
      ["id = 'too short'", 'aa:1'],
    ])('%s notifies "%s"', async (set, expected) => {
      const heard = await notified(`UPDATE nodes SET ${set} WHERE id = ${id('a')}`);
      expect(heard.split(' ').sort().join(' ')).toBe(expected);
    });
  });

  describe('a node that is out already', () => {
    test.each([
      ['offline_suspended = now()', 'free_disk = 1', ''],
      ['offline_suspended = now()', "offline_suspended = now() - interval '1 day'", ''],
      ['offline_suspended = now(), free_disk = 1', 'offline_suspended = NULL', 'aa:1'],
      ['offline_suspended = now()', 'offline_suspended = NULL', 'aa:0'],
      ["last_contact_success = now() - interval '5 hours'", 'last_contact_success = now()', 'aa:0'],
      // A check-in that puts the end of the online window off is a change.
      ["last_contact_success = now() - interval '3.5 hours'", 'last_contact_success = now()', 'aa:0'],
      ["last_contact_success = now() - interval '2.5 hours'", 'last_contact_success = now()', ''],
    ])('%s, then %s notifies "%s"', async (before, after, expected) => {
      await notified(`TRUNCATE nodes; ${healthy('a')}; UPDATE nodes SET ${before}`);
      expect(await notified(`UPDATE nodes SET ${after}`)).toBe(expected);
    });

    test('is judged by the time of the statement, not by that of its transaction', async () => {
      await notified(`TRUNCATE nodes; ${healthy('a')}`);
      // Online when the transaction begins, offline when it writes again.
      const heard = await notified(`
        UPDATE nodes SET last_contact_success = clock_timestamp() - interval '4 hours' + interval '150 ms';
        SELECT pg_sleep(0.2);
        UPDATE nodes SET country_code = 'FR'`);
      expect(heard).toBe('aa:0 aa:1');
    });
  });

  describe('of statements', () => {
    beforeEach(async () => {
      await notified(`TRUNCATE nodes; ${healthy('a')}; ${healthy('b')}; ${healthy('d')}`);
    });

    test.each([
      ['an insert', 'cc:0', healthy('c')],
      ['an insert of nothing', '', 'INSERT INTO nodes SELECT * FROM nodes WHERE false'],
      ['a delete', 'aa:1 bb:1', `DELETE FROM nodes WHERE id IN (${id('a')}, ${id('b')})`],
      ['a delete of nothing', '', 'DELETE FROM nodes WHERE false'],
      ['a truncation', 'the table was truncated', 'TRUNCATE nodes'],
      ['a rollback', 'ee:0', `SAVEPOINT s; DELETE FROM nodes; ROLLBACK TO s; ${healthy('e')}`],
      [
        'an upsert that inserts and one that changes',
        'aa:1 cc:0',
        `INSERT INTO nodes SELECT * FROM nodes WHERE id = ${id('a')}
           ON CONFLICT (id) DO UPDATE SET free_disk = 0;
         ${healthy('c')} ON CONFLICT (id) DO UPDATE SET free_disk = 0`,
      ],
      [
        'an upsert that changes nothing of ours',
        '',
        `${healthy('a')} ON CONFLICT (id) DO UPDATE SET last_contact_success = now()`,
      ],
      ['an upsert that does nothing', '', `${healthy('a')} ON CONFLICT DO NOTHING`],
      [
        'a statement that writes twice',
        'aa:0 bb:1',
        `WITH moved AS (UPDATE nodes SET last_net = 'x' WHERE id = ${id('a')})
         UPDATE nodes SET free_disk = 0 WHERE id = ${id('b')}`,
      ],
    ])('%s notifies "%s"', async (_what, expected, statements) => {
      const heard = await notified(statements);
      expect(heard === expected ? heard : heard.split(' ').sort().join(' ')).toBe(expected);
    });

    test('a node that goes out, comes back and goes out is notified in this order', async () => {
      const heard = await notified(`
        UPDATE nodes SET free_disk = 0 WHERE id = ${id('a')};
        UPDATE nodes SET free_disk = 9e12 WHERE id = ${id('a')};
        UPDATE nodes SET free_disk = 0 WHERE id = ${id('a')}`);
      expect(heard).toBe('aa:1 aa:0 aa:1');
    });

    test('a COPY notifies what it inserts', async () => {
      const { rows } = await postgres.client.query<{ data_directory: string }>('SHOW data_directory');
      const file = `'${rows[0]!.data_directory}/nodes.copy'`;
      await notified(`COPY (SELECT * FROM nodes WHERE id = ${id('a')}) TO ${file}; DELETE FROM nodes`);
      expect(await notified(`COPY nodes FROM ${file}`)).toBe('aa:0');
    });

    test('10,000 nodes are named, in payloads that the server takes; one more is everything', async () => {
      const many = (count: number) => `
        INSERT INTO nodes SELECT sha256(i::text::bytea), address, last_net, last_ip_port, country_code, type,
          email, wallet, free_disk, major, minor, patch, release, vetted_at, created_at, updated_at,
          last_contact_success FROM generate_series(1, ${count}) AS i, nodes WHERE id = ${id('a')}`;
      await postgres.client.query(many(10_000));
      const payloads = await listener.payloads(postgres.client);
      expect(payloads).toHaveLength(59);
      expect(Math.max(...payloads.map(({ length }) => length))).toBeLessThan(8_000);
      await postgres.client.query(`UPDATE nodes SET last_contact_success = now()`);
      expect(await listener.payloads(postgres.client)).toEqual([]);
      expect(await notified(`UPDATE nodes SET free_disk = 0`)).toBe(
        'a statement changed more than 10000 nodes',
      );
    });

    test('a cascade from another table notifies what it deletes', async () => {
      await notified(`
        CREATE TABLE owner (id bytea PRIMARY KEY); INSERT INTO owner SELECT id FROM nodes;
        ALTER TABLE nodes ADD CONSTRAINT owned FOREIGN KEY (id) REFERENCES owner ON DELETE CASCADE`);
      expect(await notified(`DELETE FROM owner WHERE id = ${id('b')}`)).toBe('bb:1');
      await notified('ALTER TABLE nodes DROP CONSTRAINT owned; DROP TABLE owner');
    });
  });
});
