/**
 * Signatures of snapshot files, where keys are configured: Ed25519 over all bytes of a file, 64 bytes in a
 * file of its own beside it, whose name has the digest of what it signs:
 *
 *   nodes.snapshot                                              the file
 *   nodes.snapshot.0f1e2d3c4b5a69788796a5b4c3d2e1f0.signature   its signature
 *
 * So the bytes of a snapshot file are the same with and without a signature, for whoever maps it; the file
 * before has a signature of its own; and the new one is on disk before the file is that it belongs to: there
 * is no moment at which a file stands beside the signature of another. Any tool that knows Ed25519 can check
 * it. The digest only finds the signature; nothing rests on it.
 *
 * **What it says.** Somebody who has the private key wrote exactly these bytes. Not that they are the newest:
 * an old file is rightly signed for ever. The moment of its read is among the signed bytes, and its age is
 * shown, so an old file that was put back can be told by that alone. Who can read the private key can sign:
 * it protects from those who can write where the file lies, and not where the key does.
 *
 * Key files are read anew for every file, so that changed ones are found. Loader thread; `sortition inspect`.
 */
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { HEADER_BYTES, HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { CacheError } from '../engine/errors.ts';
import { digestText } from '../engine/snapshot/digest.ts';
import { checkKeys, checkObject, checkText, checkTexts, invalidOption } from './source/option-checks.ts';
import { openRegularFile } from './source/regular-file.ts';

export interface SnapshotSigningOptions {
  /** PEM file of an Ed25519 private key: the snapshot file is signed by it. None by default. */
  readonly keyFile?: string;
  /**
   * PEM files of one or two Ed25519 public keys: a snapshot file is served from only when one of them has
   * signed it. Two, so that keys can be changed without a gap. None by default: it is not checked.
   */
  readonly publicKeyFiles?: readonly string[];
}

export interface SnapshotSigning {
  readonly keyFile: string | undefined;
  readonly publicKeyFiles: readonly string[];
}

/** Two, while one is being replaced by the other. */
const PUBLIC_KEYS_MAX = 2;
const PEM_BYTES_MAX = 16_384;
const SIGNATURE_BYTES = 64;
const FINGERPRINT_DIGITS = 16;
/** What the name of a signature has after that of its file and a dot, as a pattern. */
export const signatureFileEnding = '[0-9a-f]{32}[.]signature';

const signAside = promisify(sign);
const verifyAside = promisify(verify);

/** The settings of options that were given. Throws CONFIG_INVALID. */
export function snapshotSigning(options: SnapshotSigningOptions): SnapshotSigning {
  checkObject(options, 'snapshotSigning');
  checkKeys(options, ['keyFile', 'publicKeyFiles'], 'snapshotSigning.');
  const { keyFile, publicKeyFiles = [] } = options as SnapshotSigningOptions;
  if (keyFile !== undefined) checkText(keyFile, 'snapshotSigning.keyFile');
  checkTexts(publicKeyFiles, 'snapshotSigning.publicKeyFiles');
  if (publicKeyFiles.length > PUBLIC_KEYS_MAX) {
    const most = `${PUBLIC_KEYS_MAX} at the most, the old one and the new one`;
    throw invalidOption('snapshotSigning.publicKeyFiles', `${publicKeyFiles.length} keys; ${most}`);
  }
  return { keyFile, publicKeyFiles };
}

/** Where the signature of these bytes lies, of a file at `path` or of the one before it. */
export function signaturePath(path: string, packed: Uint8Array): string {
  const words = new Uint32Array(packed.slice(0, HEADER_BYTES).buffer);
  return `${path}.${digestText(words, HEADER_WORD.DIGEST)}.signature`;
}

/**
 * The signature of these bytes; undefined where none is asked for. Throws CONFIG_INVALID where this process
 * could write a file but would refuse to read it.
 */
export async function signSnapshot(
  packed: Uint8Array,
  signing: SnapshotSigning | undefined,
): Promise<Uint8Array | undefined> {
  if (signing?.keyFile === undefined) {
    if (signing === undefined || signing.publicKeyFiles.length === 0) return undefined;
    const detail = 'is missing: the snapshot file is not written, because unsigned files are refused here';
    throw invalidOption('snapshotSigning.keyFile', detail);
  }
  const key = await readKey(signing.keyFile, 'snapshotSigning.keyFile', createPrivateKey);
  return await signAside(null, packed, key);
}

/**
 * Throws SNAPSHOT_CORRUPT where none of the public keys has signed these bytes, of the file at `path` or of
 * the one before it, and CONFIG_INVALID where a key cannot be read. Returns the fingerprint of the one that
 * has; undefined where none is asked for.
 */
export async function checkSignature(
  path: string,
  packed: Uint8Array,
  signing: SnapshotSigning | undefined,
): Promise<string | undefined> {
  const files = signing?.publicKeyFiles ?? [];
  if (files.length === 0) return undefined;
  const place = signaturePath(path, packed);
  const signature = await readSignature(place);
  const fingerprints: string[] = [];
  for (const file of files) {
    const key = await readKey(file, 'snapshotSigning.publicKeyFiles', publicKeyOf);
    const fingerprint = fingerprintOf(key);
    if (await verifyAside(null, packed, key, signature)) return fingerprint;
    fingerprints.push(fingerprint);
  }
  const keys = fingerprints.join(' or ');
  throw new CacheError(
    'SNAPSHOT_CORRUPT',
    `${place} is no signature of it by key ${keys}: it was changed, or signed by another key`,
  );
}

/** What people compare: the first digits of the SHA-256 of the public key. */
export function fingerprintOf(key: KeyObject): string {
  const bytes = key.export({ type: 'spki', format: 'der' });
  return hash('sha256', bytes).slice(0, FINGERPRINT_DIGITS);
}

async function readSignature(path: string): Promise<Uint8Array> {
  try {
    return await readSmall(path, SIGNATURE_BYTES, false);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const detail = missing ? `not signed: there is no ${path}` : `${path}: ${(error as Error).message}`;
    throw new CacheError('SNAPSHOT_CORRUPT', detail, { cause: error });
  }
}

async function readKey(path: string, field: string, create: (pem: Buffer) => KeyObject): Promise<KeyObject> {
  try {
    const key = create(await readSmall(path, PEM_BYTES_MAX, true));
    if (key.asymmetricKeyType === 'ed25519') return key;
    throw new Error(`is a key of type ${key.asymmetricKeyType}; expected ed25519`);
  } catch (error) {
    const detail = `the key in "${path}" cannot be used: ${(error as Error).message}`;
    throw new CacheError('CONFIG_INVALID', `${field}: ${detail}`, { cause: error, field });
  }
}

/** A private key would do, and then lie wherever files are only checked: who can read it there can sign. */
function publicKeyOf(pem: Buffer): KeyObject {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem.toString('latin1'))) {
    throw new Error('it is a private key; expected the public one (openssl pkey -in <file> -pubout)');
  }
  return createPublicKey(pem);
}

async function readSmall(path: string, bytesMax: number, followLinks: boolean): Promise<Buffer> {
  const file = await openRegularFile(path, { followLinks });
  try {
    const { size } = await file.stat();
    if (size > bytesMax) throw new Error(`has ${size} bytes; ${bytesMax} are expected at the most`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
