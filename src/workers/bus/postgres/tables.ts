/**
 * The tables of the bus in Postgres, and every statement on them. Those that bring bytes are asked for in
 * binary (`binary-rows.ts`), which takes no parameters: what stands in them is a number or a literal. Any
 * thread.
 *
 * `bus_head` is one row with the newest position. A record is added by the statement that moves it up, under
 * its lock: that is the fence, and it makes records visible in their order. Where somebody has removed the
 * row, it is made anew above what the log has, and followers find a gap there. A record is on disk a moment
 * later only: a server that crashes in between loses the last of them, whole ones, in order. Whoever had read
 * them finds a gap, and the leader finds it at its next look; in return no record waits for a disk.
 * Heartbeats are not logged: they are worth nothing after a crash.
 */

export interface BusStatements {
  /** Creates what is missing; may run in several sessions at once. */
  readonly setUp: string;
  /** One value: is everything there? */
  readonly isSetUp: string;
  readonly last: string;
  /** Epoch, seq, bytes, channel, payload. No row: the head is at or above it, or the log is. */
  readonly append: string;
  /** Of most `count` records after that position: epoch, seq, both of the one before, bytes. */
  recordsAfter(epoch: number, seq: number, count: number): string;
  /** Epoch, seq. The last record stays. */
  readonly trim: string;
  /** Most records. */
  readonly trimSurplus: string;
  /** Blob, piece, bytes, expiry in ms. */
  readonly putPiece: string;
  readonly forgetExpiredPieces: string;
  /** By their literals: bytes. */
  getPiece(blob: string, piece: string): string;
  readonly deletePieces: string;
  /** Epoch, seq, bytes. No row: the pointer is above it. */
  readonly point: string;
  readonly pointer: string;
  /** Replica, bytes, expiry in ms. */
  readonly beat: string;
  readonly forgetExpiredBeats: string;
  /** Of most `count` replicas: name, bytes. */
  beats(count: number): string;
}

/** Sessions that create the tables wait for each other: `create … if not exists` alone is no protection. */
const SET_UP_LOCK = 7_305_220_118;
const EXPIRY = (parameter: string) => `clock_timestamp() + ${parameter}::bigint * interval '1 millisecond'`;

export function busStatements(schema: string): BusStatements {
  const table = (name: string) => `"${schema}".bus_${name}`;
  const [head, log, blobs] = [table('head'), table('log'), table('blobs')];
  const [pointer, beats] = [table('pointer'), table('beats')];
  return {
    setUp: setUpStatement(schema, { head, log, blobs, pointer, beats }),
    isSetUp: `select (to_regclass('${beats}') is not null)::text`,
    last: `select epoch, seq from ${head}`,
    append: `
      with moved as (
        insert into ${head} as old (one, epoch, seq)
        select true, $1::bigint, $2::bigint
        where not exists (select 1 from ${log} where (epoch, seq) >= ($1::bigint, $2::bigint))
        on conflict (one) do update
        set previous_epoch = old.epoch, previous_seq = old.seq, epoch = excluded.epoch, seq = excluded.seq
        where (old.epoch, old.seq) < (excluded.epoch, excluded.seq)
        returning previous_epoch, previous_seq
      ), added as (
        insert into ${log} (epoch, seq, previous_epoch, previous_seq, bytes)
        select $1, $2, previous_epoch, previous_seq, $3 from moved returning 1
      )
      select pg_notify($4, $5), set_config('synchronous_commit', 'off', true) from added`,
    recordsAfter: (epoch, seq, count) => `
      select epoch, seq, previous_epoch, previous_seq, bytes from ${log}
      where (epoch, seq) > (${epoch}::bigint, ${seq}::bigint) order by epoch, seq limit ${count}`,
    trim: `
      delete from ${log} where (epoch, seq) < ($1::bigint, $2::bigint)
      and (epoch, seq) < (select epoch, seq from ${head})`,
    trimSurplus: `
      delete from ${log} where (epoch, seq) <= (
        select epoch, seq from ${log} order by epoch desc, seq desc offset $1 limit 1)`,
    putPiece: `
      insert into ${blobs} (blob, piece, bytes, expires_at) values ($1, $2, $3, ${EXPIRY('$4')})
      on conflict (blob, piece) do update set bytes = excluded.bytes, expires_at = excluded.expires_at`,
    forgetExpiredPieces: `delete from ${blobs} where expires_at <= clock_timestamp()`,
    getPiece: (blob, piece) => `
      select bytes from ${blobs} where blob = ${blob} and piece = ${piece}
      and expires_at > clock_timestamp()`,
    deletePieces: `delete from ${blobs} where blob = $1`,
    point: `
      insert into ${pointer} as old (one, epoch, seq, bytes) values (true, $1, $2, $3)
      on conflict (one) do update set epoch = excluded.epoch, seq = excluded.seq, bytes = excluded.bytes
      where (old.epoch, old.seq) <= (excluded.epoch, excluded.seq)
      returning 1`,
    pointer: `select epoch, seq, bytes from ${pointer}`,
    beat: `
      insert into ${beats} (replica, bytes, expires_at) values ($1, $2, ${EXPIRY('$3')})
      on conflict (replica) do update set bytes = excluded.bytes, expires_at = excluded.expires_at`,
    // Rows that somebody works on are left for the next time: nobody waits, so nobody can deadlock.
    forgetExpiredBeats: `
      delete from ${beats} where replica in (
        select replica from ${beats} where expires_at <= clock_timestamp() for update skip locked)`,
    beats: count => `select replica, bytes from ${beats} where expires_at > clock_timestamp() limit ${count}`,
  };
}

interface Tables {
  readonly head: string;
  readonly log: string;
  readonly blobs: string;
  readonly pointer: string;
  readonly beats: string;
}

/** Sent as one piece, which the server runs as one transaction. Snapshots do not compress: ids are random. */
function setUpStatement(schema: string, { head, log, blobs, pointer, beats }: Tables): string {
  return `
    select pg_advisory_xact_lock(${SET_UP_LOCK});
    create schema if not exists "${schema}";
    create table if not exists ${head} (
      one boolean primary key default true check (one),
      epoch bigint not null default 0,
      seq bigint not null default 0,
      previous_epoch bigint not null default 0,
      previous_seq bigint not null default 0
    );
    insert into ${head} default values on conflict do nothing;
    create table if not exists ${log} (
      epoch bigint not null,
      seq bigint not null,
      previous_epoch bigint not null,
      previous_seq bigint not null,
      bytes bytea not null,
      primary key (epoch, seq)
    );
    alter table ${log} alter column bytes set storage external;
    create table if not exists ${blobs} (
      blob text not null,
      piece text not null,
      bytes bytea not null,
      expires_at timestamptz not null,
      primary key (blob, piece)
    );
    alter table ${blobs} alter column bytes set storage external;
    create table if not exists ${pointer} (
      one boolean primary key default true check (one),
      epoch bigint not null,
      seq bigint not null,
      bytes bytea not null
    );
    create unlogged table if not exists ${beats} (
      replica text primary key,
      bytes bytea not null,
      expires_at timestamptz not null
    ) with (fillfactor = 50);`;
}
