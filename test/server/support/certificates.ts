/**
 * X.509 certificates made on the spot, with an authority of their own: just enough DER for P-256 and two
 * extensions.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority extends Certificate {
  /** A certificate for `name`, which is also good for a server on loopback. `days`: from now; may be past. */
  issue(name: string | readonly string[], days?: number): Certificate;
}

const DAY_MS = 86_400_000;
const ECDSA_SHA256 = sequence(objectId([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
const COMMON_NAME = objectId([0x55, 0x04, 0x03]);
const BASIC_CONSTRAINTS = objectId([0x55, 0x1d, 0x13]);
const ALTERNATIVE_NAMES = objectId([0x55, 0x1d, 0x11]);

export function authority(name: string): Authority {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const caExtension = sequence(
    BASIC_CONSTRAINTS,
    tagged(0x01, [0xff]),
    octets(sequence(tagged(0x01, [0xff]))),
  );
  const make = (subject: readonly string[], publicKey: KeyObject, days: number, extension: Buffer) => {
    const body = sequence(
      tagged(0xa0, integer([2])),
      integer([1, ...randomBytes(8)]),
      ECDSA_SHA256,
      distinguished([name]),
      sequence(
        time(Math.min(Date.now(), Date.now() + (days - 1) * DAY_MS) - DAY_MS),
        time(Date.now() + days * DAY_MS),
      ),
      distinguished(subject),
      publicKey.export({ type: 'spki', format: 'der' }),
      tagged(0xa3, sequence(extension)),
    );
    const signature = sign('sha256', body, own.privateKey);
    return pem(sequence(body, ECDSA_SHA256, tagged(0x03, Buffer.concat([Buffer.of(0), signature]))));
  };
  const issue = (subject: string | readonly string[], days = 2): Certificate => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const addresses = sequence(tagged(0x87, [127, 0, 0, 1]), tagged(0x82, Buffer.from('localhost')));
    const extension = sequence(ALTERNATIVE_NAMES, octets(addresses));
    return {
      certificate: make([subject].flat() as string[], pair.publicKey, days, extension),
      key: keyText(pair.privateKey),
    };
  };
  return { certificate: make([name], own.publicKey, 2, caExtension), key: keyText(own.privateKey), issue };
}

function keyText(key: KeyObject): string {
  return String(key.export({ type: 'pkcs8', format: 'pem' }));
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function tagged(tag: number, content: Uint8Array | readonly number[]): Buffer {
  const bytes = Buffer.from(content);
  const { length } = bytes;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), bytes]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function objectId(bytes: readonly number[]): Buffer {
  return tagged(0x06, bytes);
}

function integer(bytes: readonly number[]): Buffer {
  return tagged(0x02, bytes);
}

function octets(content: Buffer): Buffer {
  return tagged(0x04, content);
}

/** A name of common names. */
function distinguished(names: readonly string[]): Buffer {
  return sequence(...names.map(name => tagged(0x31, sequence(COMMON_NAME, tagged(0x0c, Buffer.from(name))))));
}

/** `20260102030405Z`. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  return tagged(0x18, Buffer.from(text));
}
