/**
 * From the cells of a fetched row to a `NodeRow`. Runs once per row on the loader thread: no parsing twice.
 */
import type { NodeRow } from '../../../engine/snapshot/node-row.ts';
import { portNumber } from '../row-values.ts';
import { CELL } from '../sql/nodes.ts';
import type { Cell } from './session.ts';

/** `attributeCount` cells follow the fixed ones. */
export function nodeRow(cells: readonly Cell[], attributeCount: number): NodeRow {
  const address = cells[CELL.address];
  const { ip, port } =
    address == null
      ? { ip: cells[CELL.ip] ?? '', port: portNumber(cells[CELL.port] ?? '') }
      : splitAddress(address);
  return {
    id: hexDigits(cells[CELL.id] ?? ''),
    ip,
    port,
    network: cells[CELL.network] || undefined,
    vetted: cells[CELL.vetted] === 't',
    ineligible: cells[CELL.ineligible] ?? undefined,
    attributes: attributeCount === 0 ? NO_ATTRIBUTES : attributeCells(cells, attributeCount),
  };
}

const NO_ATTRIBUTES: readonly string[] = [];

function attributeCells(cells: readonly Cell[], count: number): (string | undefined)[] {
  const values: (string | undefined)[] = [];
  for (let i = 0; i < count; i++) values.push(cells[CELL.attributes + i] ?? undefined);
  return values;
}

/** `bytea` comes as `\x` and the digits; an id that is text comes as it is. */
function hexDigits(id: string): string {
  return id.startsWith('\\x') ? id.slice(2) : id;
}

/**
 * `203.0.113.7:28967`, `[2001:db8::1]:28967`. IPv6 without brackets cannot be told from its port: like any
 * other text that is no address, it goes on as `ip` with the port NaN, and the builder refuses and counts the
 * row.
 */
export function splitAddress(address: string): { ip: string; port: number } {
  const colon = address.lastIndexOf(':');
  if (colon < 0) return { ip: address, port: Number.NaN };
  if (address.startsWith('[') && address[colon - 1] === ']') {
    return { ip: address.slice(1, colon - 1), port: portNumber(address.slice(colon + 1)) };
  }
  if (address.indexOf(':') !== colon) return { ip: address, port: Number.NaN };
  return { ip: address.slice(0, colon), port: portNumber(address.slice(colon + 1)) };
}
