/**
 * The columns that the Postgres source knows: role, default name (storj's `nodes` table), accepted types,
 * use.
 */

/** Kinds of Postgres types, as far as they matter here. */
export type TypeKind = 'bytea' | 'text' | 'inet' | 'integer' | 'number' | 'boolean' | 'timestamp' | 'other';

export interface ColumnRoleSpec {
  /** Name of the column unless `columns` says otherwise; `null`: not used unless it is mapped. */
  readonly column: string | null;
  readonly accepts: readonly TypeKind[];
  /** The criterion that `null` switches off; absent: the column is not a criterion. */
  readonly criterion?: string;
  /** Used when the relation has it, and not missed when it has not (unless it is mapped by name). */
  readonly optional?: boolean;
}

const FLAG: readonly TypeKind[] = ['timestamp', 'boolean'];
const COUNT: readonly TypeKind[] = ['integer', 'number'];

export const COLUMN_ROLES = {
  id: { column: 'id', accepts: ['bytea', 'text'] },
  /** `host:port`, IPv6 in brackets; not used when `ip` and `port` are mapped. */
  address: { column: 'last_ip_port', accepts: ['text'] },
  ip: { column: null, accepts: ['inet', 'text'] },
  port: { column: null, accepts: ['integer'] },
  network: { column: 'last_net', accepts: ['text', 'inet'], optional: true },
  country: { column: 'country_code', accepts: ['text'], optional: true },
  /** A time that is set, or true: the vetted pool. Switched off: every node is vetted. */
  vetted: { column: 'vetted_at', accepts: FLAG, criterion: 'vetted' },
  disqualified: { column: 'disqualified', accepts: FLAG, criterion: 'disqualified' },
  exitFinished: { column: 'exit_finished_at', accepts: FLAG, criterion: 'exited' },
  exitInitiated: { column: 'exit_initiated_at', accepts: FLAG, criterion: 'exiting' },
  auditSuspended: { column: 'unknown_audit_suspended', accepts: FLAG, criterion: 'suspended' },
  offlineSuspended: { column: 'offline_suspended', accepts: FLAG, criterion: 'suspended' },
  freeDisk: { column: 'free_disk', accepts: COUNT, criterion: 'full' },
  lastContact: { column: 'last_contact_success', accepts: ['timestamp'], criterion: 'offline' },
  type: { column: 'type', accepts: ['integer'], criterion: 'wrong-type' },
  auditCount: { column: null, accepts: COUNT, criterion: 'few-audits' },
  uptimeCount: { column: null, accepts: COUNT, criterion: 'low-uptime' },
  /** One column with `1.2.3` in it; mapped, it replaces the three below. */
  version: { column: null, accepts: ['text'], criterion: 'old-version' },
  versionMajor: { column: 'major', accepts: ['integer'], criterion: 'old-version' },
  versionMinor: { column: 'minor', accepts: ['integer'], criterion: 'old-version' },
  versionPatch: { column: 'patch', accepts: ['integer'], criterion: 'old-version' },
  release: { column: 'release', accepts: ['boolean'], criterion: 'not-release' },
  /** When the row was last written: not read with the rows, only polled for changes. */
  updatedAt: { column: 'updated_at', accepts: ['timestamp'], optional: true },
} as const satisfies Record<string, ColumnRoleSpec>;

export type ColumnRole = keyof typeof COLUMN_ROLES;

export const COLUMN_ROLE_NAMES = Object.keys(COLUMN_ROLES) as readonly ColumnRole[];

/**
 * Criteria that leave a node out altogether: no selection, no lookup. In the order in which they are judged.
 */
export const ABSENT_CRITERIA = ['disqualified', 'exited', 'gone'] as const;

/**
 * Criteria that keep a node out of selections while lookups still find it. In the order in which they are
 * judged.
 */
export const INELIGIBLE_CRITERIA = [
  'suspended',
  'exiting',
  'full',
  'offline',
  'wrong-type',
  'few-audits',
  'low-uptime',
  'old-version',
  'not-release',
] as const;

const TYPE_KINDS: Readonly<Record<string, TypeKind>> = {
  bytea: 'bytea',
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  name: 'text',
  citext: 'text',
  inet: 'inet',
  cidr: 'inet',
  int2: 'integer',
  int4: 'integer',
  int8: 'integer',
  numeric: 'number',
  float4: 'number',
  float8: 'number',
  bool: 'boolean',
  timestamp: 'timestamp',
  timestamptz: 'timestamp',
  date: 'timestamp',
};

export function typeKind(typeName: string): TypeKind {
  return TYPE_KINDS[typeName] ?? 'other';
}
