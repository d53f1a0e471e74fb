/**
 * Reads what the triggers notify. Anyone who may connect to the database can notify anything: nothing in a
 * payload is trusted, and what cannot be read is no notification of ours.
 */
import { ID_BYTES } from '../../../../../native-layout/snapshot-row.ts';
import { NOTIFIED_NODE_BYTES, PAYLOAD, TRIGGER_VERSION } from '../../sql/trigger-function.ts';

export type Notification =
  | {
      readonly kind: 'nodes';
      /** Ids of 32 bytes, and a byte each: 1, the node is out of selections. */
      readonly ids: Uint8Array;
      readonly out: Uint8Array;
      readonly writtenAtUnixMs: number;
    }
  | { readonly kind: 'everything'; readonly reason: string }
  | { readonly kind: 'probe'; readonly nonce: string };

const FORM = /^(\d{1,4})([nap])(\d{1,17}):(.*)$/s;
const BASE64 = /^[A-Za-z0-9+/=\n]+$/;
const REASON_CHARACTERS_MAX = 300;

export function readNotification(payload: string): Notification | undefined {
  const [, version, kind, micros, rest] = FORM.exec(payload) ?? [];
  if (Number(version) !== TRIGGER_VERSION || rest === undefined) return undefined;
  if (kind === PAYLOAD.nodes) return readNodes(rest, Number(micros));
  const text = rest.replaceAll(/\p{C}/gu, ' ').slice(0, REASON_CHARACTERS_MAX);
  return kind === PAYLOAD.probe ? { kind: 'probe', nonce: text } : { kind: 'everything', reason: text };
}

/** What `pg_notify` is given to see whether it arrives. */
export function probePayload(nonce: string): string {
  return `${TRIGGER_VERSION}${PAYLOAD.probe}0:${nonce}`;
}

function readNodes(text: string, writtenAtMicros: number): Notification | undefined {
  if (!BASE64.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  const count = bytes.length / NOTIFIED_NODE_BYTES;
  if (!Number.isInteger(count) || count === 0) return undefined;
  const ids = new Uint8Array(count * ID_BYTES);
  const out = new Uint8Array(count);
  for (let node = 0, at = 0; node < count; node++, at += NOTIFIED_NODE_BYTES) {
    ids.set(bytes.subarray(at, at + ID_BYTES), node * ID_BYTES);
    const mark = bytes[at + ID_BYTES]!;
    if (mark > 1) return undefined;
    out[node] = mark;
  }
  return { kind: 'nodes', ids, out, writtenAtUnixMs: writtenAtMicros / 1_000 };
}
