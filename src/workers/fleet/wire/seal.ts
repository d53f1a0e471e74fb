/**
 * The envelope of everything that a fleet writes to its bus: what kind it is, for which schema, and a seal
 * over it, its fleet, its place and its position. So what was damaged, cut, forged (where a key is shared) or
 * put somewhere else is refused before anything of it is believed. Pure; any thread.
 *
 *   0  u16 magic                     4  u8  oldest schema whose readers understand it
 *   2  u8  form of the seal          5  u8  kind
 *   3  u8  schema of the writer      6  u16 zero
 *   8  u32 bytes of the body         12 body, then 16 bytes of seal
 *
 * **Schemas.** This much never changes. A writer that appends fields to a body raises its schema and keeps
 * the oldest: older readers ignore what they do not know, newer ones fill in what an older writer left out.
 * A writer that changes more raises the oldest too: older readers refuse it, keep what they have, and say so.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import type { LogPosition } from '../../bus/bus.ts';

/** What the schemas have in them: 1 is the first. */
export const SCHEMA = 1;
const OLDEST_SCHEMA = 1;

const MAGIC = 0x5346;
const HEADER_BYTES = 12;
const SEAL_BYTES = 16;
const FORM_DIGEST = 1;
const FORM_KEYED = 2;

/** Where a message belongs; part of what is sealed. */
export type Place = 'log' | 'pointer' | 'beat';

export type RefusalReason =
  /** Damaged, cut, or not what it claims to be. */
  | 'corrupt'
  /** No seal by the key that this replica has. */
  | 'unsealed'
  /** Written for readers of a newer schema. */
  | 'schema'
  /** Snapshots of another byte layout. */
  | 'layout'
  /** Content of other settings. */
  | 'settings'
  /** A digest that does not fit. */
  | 'digest'
  /** A blob that is not there (any more). */
  | 'missing'
  /** Over a limit of this replica. */
  | 'too-large';

/** Says why something is refused. `isAuthentic`: its seal is right, it is only not for us. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: RefusalReason;
  readonly isAuthentic: boolean;

  constructor(
    reason: RefusalReason,
    message: string,
    options: { isAuthentic?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.isAuthentic = options.isAuthentic === true;
  }
}

/** Across copies of this module too. */
export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && error.name === 'Refusal' && 'reason' in error;
}

export interface Envelope {
  readonly place: Place;
  readonly kind: number;
  /** Of the log or of the pointer; zeros for a heartbeat. */
  readonly position: LogPosition;
}

export interface Opened {
  readonly kind: number;
  /** Of the writer. */
  readonly schema: number;
  readonly body: Uint8Array;
}

/** What a program writes and reads; only tests of rolling upgrades say anything else than the default. */
export interface Schemas {
  readonly written: number;
  readonly oldest: number;
  readonly read: number;
}

const SCHEMAS: Schemas = { written: SCHEMA, oldest: OLDEST_SCHEMA, read: SCHEMA };

export class Sealer {
  readonly schemas: Schemas;
  readonly #fleet: string;
  readonly #key: Uint8Array | undefined;

  /** `key`: shared by the replicas of the fleet; without one, seals tell of damage but not of forgery. */
  constructor(options: { fleet: string; key?: Uint8Array | undefined; schemas?: Schemas }) {
    this.schemas = options.schemas ?? SCHEMAS;
    this.#fleet = options.fleet;
    this.#key = options.key;
  }

  seal(envelope: Envelope, body: Uint8Array): Uint8Array<ArrayBuffer> {
    const sealed = Buffer.alloc(HEADER_BYTES + body.byteLength + SEAL_BYTES);
    sealed.writeUInt16LE(MAGIC, 0);
    sealed[2] = this.#key === undefined ? FORM_DIGEST : FORM_KEYED;
    sealed[3] = this.schemas.written;
    sealed[4] = this.schemas.oldest;
    sealed[5] = envelope.kind;
    sealed.writeUInt32LE(body.byteLength, 8);
    sealed.set(body, HEADER_BYTES);
    const end = HEADER_BYTES + body.byteLength;
    sealed.set(this.#tag(envelope, sealed.subarray(0, end)), end);
    return new Uint8Array(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  }

  /** Throws `Refusal`. */
  open(place: Place, position: LogPosition, sealed: Uint8Array): Opened {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    if (bytes.length < HEADER_BYTES + SEAL_BYTES || bytes.readUInt16LE(0) !== MAGIC) {
      throw new Refusal('corrupt', `${bytes.length} bytes are no message of a fleet`);
    }
    const bodyBytes = bytes.readUInt32LE(8);
    if (bodyBytes !== bytes.length - HEADER_BYTES - SEAL_BYTES || bytes.readUInt16LE(6) !== 0) {
      throw new Refusal('corrupt', `a message of ${bytes.length} bytes claims a body of ${bodyBytes}`);
    }
    const kind = bytes[5]!;
    this.#checkSeal({ place, kind, position }, bytes);
    if (bytes[4]! > this.schemas.read) {
      const detail = `schema ${bytes[4]}; this program reads up to ${this.schemas.read}`;
      throw new Refusal('schema', detail, { isAuthentic: true });
    }
    return { kind, schema: bytes[3]!, body: bytes.subarray(HEADER_BYTES, bytes.length - SEAL_BYTES) };
  }

  #checkSeal(envelope: Envelope, bytes: Buffer): void {
    const expected = this.#key === undefined ? FORM_DIGEST : FORM_KEYED;
    if (bytes[2] !== expected) {
      const detail =
        this.#key === undefined
          ? 'sealed by a key, and this replica has none: give it the key of the fleet'
          : 'not sealed by a key, and this replica asks for one';
      throw new Refusal('unsealed', detail);
    }
    const end = bytes.length - SEAL_BYTES;
    const tag = this.#tag(envelope, bytes.subarray(0, end));
    if (timingSafeEqual(tag, bytes.subarray(end))) return;
    if (this.#key === undefined) throw new Refusal('corrupt', 'the seal does not fit: damaged on the way');
    throw new Refusal('unsealed', 'the seal does not fit: damaged, forged, or sealed by another key');
  }

  #tag({ place, position }: Envelope, bytes: Uint8Array): Uint8Array {
    const context = Buffer.from(`${this.#fleet}\0${place}\0${position.epoch}-${position.seq}\0`);
    const sealed = Buffer.concat([context, bytes]);
    const whole =
      this.#key === undefined
        ? hash('sha256', sealed, 'buffer')
        : createHmac('sha256', this.#key).update(sealed).digest();
    return whole.subarray(0, SEAL_BYTES);
  }
}
