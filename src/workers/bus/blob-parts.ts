/**
 * Blobs in parts: no engine takes or gives half a gigabyte in one piece without stalling everybody else. The
 * manifest is written last and says what the parts must come to, so a blob is there whole or not at all.
 */
import { createHash } from 'node:crypto';
import { BusError } from './bus.ts';
import { MANIFEST_PIECE } from './engine.ts';

/** Parts on their way at once. More hide the way to a distant engine; these fill a local one's. */
const PARTS_AT_ONCE = 4;
/** Parts outlive their manifest by this: who has read the manifest still finds them. */
const PART_EXPIRY_MARGIN_MS = 60_000;
/** Parts larger than these are nobody's: what a manifest says is checked before memory is taken. */
const PART_BYTES_MAX = 16 * 1_048_576;
const MANIFEST_VERSION = 1;
const SHA256_HEX = /^[0-9a-f]{64}$/;

/** Where pieces are stored; each call has its own time limit. */
export interface PieceStore {
  put(piece: string, bytes: Uint8Array, expiresMs: number): Promise<void>;
  get(piece: string): Promise<Uint8Array | undefined>;
}

interface Manifest {
  readonly version: number;
  readonly bytes: number;
  readonly partBytes: number;
  readonly sha256: string;
}

export async function putParts(
  store: PieceStore,
  bytes: Uint8Array,
  expiresMs: number,
  partBytes: number,
): Promise<void> {
  const hash = createHash('sha256');
  const count = partCount(bytes.byteLength, partBytes);
  await inOrder(
    count,
    index => {
      const part = bytes.subarray(index * partBytes, (index + 1) * partBytes);
      hash.update(part);
      return store.put(String(index), part, expiresMs + PART_EXPIRY_MARGIN_MS);
    },
    () => undefined,
  );
  const manifest: Manifest = {
    version: MANIFEST_VERSION,
    bytes: bytes.byteLength,
    partBytes,
    sha256: hash.digest('hex'),
  };
  await store.put(MANIFEST_PIECE, Buffer.from(JSON.stringify(manifest)), expiresMs);
}

/** The blob, or `undefined` when there is no manifest. Throws BUS_CORRUPT when the parts do not fit it. */
export async function getParts(
  store: PieceStore,
  name: string,
  blobBytesMax: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stored = await store.get(MANIFEST_PIECE);
  if (stored === undefined) return undefined;
  const manifest = parseManifest(stored, name, blobBytesMax);
  const blob = new Uint8Array(manifest.bytes);
  const hash = createHash('sha256');
  try {
    await inOrder(
      partCount(manifest.bytes, manifest.partBytes),
      index => store.get(String(index)),
      (part, index) => {
        const place = blob.subarray(index * manifest.partBytes, (index + 1) * manifest.partBytes);
        if (part === undefined) throw corrupt(name, `part ${index} is missing`);
        if (part.byteLength !== place.byteLength) {
          throw corrupt(name, `part ${index} has ${part.byteLength} bytes instead of ${place.byteLength}`);
        }
        place.set(part);
        hash.update(place);
      },
    );
  } catch (error) {
    // Deleted or expired while it was read: that is no damage.
    if (isCorrupt(error) && (await store.get(MANIFEST_PIECE)) === undefined) return undefined;
    throw error;
  }
  if (hash.digest('hex') !== manifest.sha256) {
    throw corrupt(name, 'its parts do not come to the digest that it was stored with');
  }
  return blob;
}

/** The pieces that a blob with this manifest can have, the manifest first. */
export function piecesOf(manifest: Uint8Array | undefined, name: string, blobBytesMax: number): string[] {
  if (manifest === undefined) return [MANIFEST_PIECE];
  try {
    const { bytes, partBytes } = parseManifest(manifest, name, blobBytesMax);
    return [MANIFEST_PIECE, ...partPieces(bytes, partBytes)];
  } catch (error) {
    // Nobody knows the parts of a damaged one: they expire.
    if (isCorrupt(error)) return [MANIFEST_PIECE];
    throw error;
  }
}

export function partPieces(bytes: number, partBytes: number): string[] {
  return Array.from({ length: partCount(bytes, partBytes) }, (_, index) => String(index));
}

function partCount(bytes: number, partBytes: number): number {
  return Math.ceil(bytes / partBytes);
}

function parseManifest(stored: Uint8Array, name: string, blobBytesMax: number): Manifest {
  let manifest: Partial<Manifest>;
  try {
    manifest = JSON.parse(Buffer.from(stored).toString('utf8')) as Partial<Manifest>;
  } catch {
    throw corrupt(name, 'its manifest cannot be read');
  }
  const { version, bytes, partBytes, sha256 } = manifest ?? {};
  if (version !== MANIFEST_VERSION) throw corrupt(name, `its manifest is of version ${version}`);
  // The sizes are what memory is taken by: they are checked before any is.
  if (!isSize(bytes, 0, blobBytesMax) || !isSize(partBytes, 1, PART_BYTES_MAX)) {
    throw corrupt(name, `its manifest says ${bytes} bytes in parts of ${partBytes}`);
  }
  if (typeof sha256 !== 'string' || !SHA256_HEX.test(sha256))
    throw corrupt(name, 'its manifest has no digest');
  return { version, bytes, partBytes, sha256 };
}

function isSize(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}

function corrupt(name: string, what: string): BusError {
  return new BusError('BUS_CORRUPT', `blob "${name}": ${what}`);
}

function isCorrupt(error: unknown): boolean {
  return error instanceof BusError && error.code === 'BUS_CORRUPT';
}

/** Starts `start` for 0 … count - 1, a few ahead; gives each result to `take` in order. */
async function inOrder<T>(
  count: number,
  start: (index: number) => Promise<T>,
  take: (result: T, index: number) => void,
): Promise<void> {
  const waiting: Promise<T>[] = [];
  let started = 0;
  for (let index = 0; index < count; index++) {
    while (started < count && started < index + PARTS_AT_ONCE) {
      const result = start(started++);
      // Met in its turn, unless one before it fails.
      result.catch(() => undefined);
      waiting.push(result);
    }
    take(await waiting.shift()!, index);
  }
}
