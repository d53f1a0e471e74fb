/** Who may ask for what: identities as plain data, which threads are told as they are. */
import { hash, randomBytes } from 'node:crypto';

/** What a data identity may do; everything else on the data listener is `status`. */
export const RIGHTS = ['select', 'lookup', 'status'] as const;
export type Right = (typeof RIGHTS)[number];

/** Each role may do what those before it may. */
export const ROLES = ['read', 'operate', 'override'] as const;
export type Role = (typeof ROLES)[number];

export const ACCESS_MODES = ['open', 'keys', 'mutual-tls'] as const;
export type AccessMode = (typeof ACCESS_MODES)[number];

/** Somebody who asks the data routes. */
export interface Identity {
  readonly name: string;
  /** SHA-256 of the key, 64 hexadecimal digits; absent where a certificate says who it is. */
  readonly digest: string | undefined;
  /** Largest count of one selection; absent: what everybody may ask for. */
  readonly countMax: number | undefined;
  /** Selections, lookups and whatever else needs a right, in one second; absent: unlimited. */
  readonly ratePerSecond: number | undefined;
  readonly rights: readonly Right[];
  /** Place of its rate among those of all; two names never share one, and a name keeps its own. */
  readonly index: number;
}

/** Somebody who asks the admin routes. */
export interface Administrator {
  readonly name: string;
  readonly digest: string;
  readonly role: Role;
}

export function mayAs(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

const KEY_BYTES = 32;

/**
 * A new key: 256 random bits. So one plain SHA-256 is enough to keep it by: a slow hash defends what people
 * make up, and would cost every request as much as ten thousand selections.
 */
export function newKey(): string {
  return `sortition_${randomBytes(KEY_BYTES).toString('base64url')}`;
}

/** What files hold instead of a key. */
export function digestOf(key: string): string {
  return hash('sha256', key, 'hex');
}

/** What a key or token may look like; it travels in a header. */
export const KEY_PATTERN = /^[\x21-\x7e]{16,512}$/;
