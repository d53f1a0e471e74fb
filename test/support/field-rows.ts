/** Rows in the form of fields, read into objects with the language's own means; and made from objects. */
import ipaddr from 'ipaddr.js';
import { ABSENT, FIELD, type FieldFormat, type FieldRows } from '../../src/engine/snapshot/field-rows.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { isFieldRows, type RowBatch } from '../../src/workers/source/row-source.ts';

/** The rows of a batch as objects. An id is text, whatever its bytes are. */
export function rowsOf(batch: RowBatch): NodeRow[] {
  return isFieldRows(batch) ? objectsOf(batch) : [...batch];
}

function objectsOf(rows: FieldRows): NodeRow[] {
  const width = 2 * (FIELD.attributes + rows.attributes);
  return Array.from({ length: rows.count }, (_, row) => objectAt(rows, row * width));
}

function objectAt(rows: FieldRows, at: number): NodeRow {
  const field = (number: number): Buffer | undefined => {
    const from = rows.places[at + 2 * number]!;
    return from === ABSENT
      ? undefined
      : Buffer.from(rows.bytes.subarray(from, rows.places[at + 2 * number + 1]));
  };
  const text = (number: number) => field(number)?.toString('utf8');
  const id = rows.format.id === 'bytes' ? field(FIELD.id)?.toString('hex') : text(FIELD.id);
  return {
    id: id ?? '',
    ...addressOf(rows, field),
    network: networkOf(rows, field(FIELD.network)),
    vetted: field(FIELD.vetted)?.[0] !== 0,
    ineligible: text(FIELD.ineligible),
    attributes: Array.from({ length: rows.attributes }, (_, i) => text(FIELD.attributes + i)),
  };
}

type Field = (number: number) => Buffer | undefined;

function addressOf({ format }: FieldRows, field: Field): { ip: string; port: number } {
  const address = field(FIELD.address);
  if (format.address === 'host-port') return splitAddress(address?.toString('utf8') ?? '');
  const port = field(FIELD.port);
  return {
    ip: format.address === 'bytes' ? addressText(address) : (address?.toString('utf8') ?? ''),
    port:
      port === undefined
        ? Number.NaN
        : Number(BigInt.asIntN(8 * port.length, BigInt(`0x${port.toString('hex')}`))),
  };
}

function networkOf({ format }: FieldRows, network: Buffer | undefined): string | undefined {
  if (network === undefined || network.length === 0) return undefined;
  return format.network === 'bytes' ? addressText(network) : network.toString('utf8');
}

/** IPv4, or IPv6 in its short form by the language's own URL parser. */
function addressText(bytes: Buffer | undefined): string {
  if (bytes?.length !== 4 && bytes?.length !== 16) return '';
  if (bytes.length === 4) return [...bytes].join('.');
  const groups = Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** `203.0.113.7:28967`, `[2001:db8::1]:28967`; anything else is an address without a port. */
function splitAddress(address: string): { ip: string; port: number } {
  const [, inBrackets, ip = inBrackets, port = ''] = /^(?:\[(.*)\]|([^:]*)):([^:]*)$/s.exec(address) ?? [];
  if (ip === undefined) return { ip: address, port: Number.NaN };
  return { ip, port: /^\d{1,15}$/.test(port) ? Number(port) : Number.NaN };
}

/** How fields are to be written, beside what the format says. */
export interface FieldForm extends FieldFormat {
  readonly portBytes: 2 | 4 | 8;
  /** What stands between the fields. */
  readonly gap: string;
}

/**
 * The fields of `rows` in that form. Throws where a row cannot be said in it: the caller picks rows that can.
 */
export function fieldRowsOf(rows: readonly NodeRow[], form: FieldForm, attributes: number): FieldRows {
  const parts: Buffer[] = [];
  const places: number[] = [];
  let at = 0;
  const put = (bytes: Buffer | undefined) => {
    if (bytes === undefined) {
      places.push(ABSENT, ABSENT);
      return;
    }
    parts.push(bytes, Buffer.from(form.gap));
    places.push(at, at + bytes.length);
    at += bytes.length + form.gap.length;
  };
  const text = (value: string | undefined) => (value === undefined ? undefined : Buffer.from(value));
  for (const row of rows) {
    const hostPort = row.ip.includes(':') ? `[${row.ip}]:${row.port}` : `${row.ip}:${row.port}`;
    const id = typeof row.id === 'string' ? row.id : Buffer.from(row.id).toString('hex');
    put(form.id === 'bytes' ? Buffer.from(id, 'hex') : text(id));
    if (form.address === 'host-port') put(text(hostPort));
    else put(form.address === 'bytes' ? addressBytes(row.ip) : text(row.ip));
    put(form.address === 'host-port' ? undefined : portBytes(row.port, form.portBytes));
    put(form.network === 'bytes' && row.network ? addressBytes(row.network) : text(row.network));
    put(Buffer.of(row.vetted ? 1 : 0));
    put(text(row.ineligible));
    // No object says when its node was last heard of (lastContact).
    put(undefined);
    for (let i = 0; i < attributes; i++) put(text(row.attributes[i]));
  }
  const bytes = Buffer.concat(parts);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { format: form, bytes, view, places: Int32Array.from(places), count: rows.length, attributes };
}

function addressBytes(ip: string): Buffer {
  return Buffer.from(ipaddr.parse(ip).toByteArray());
}

function portBytes(port: number, length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(port));
  return bytes.subarray(8 - length);
}
