/**
 * The table that all peers answer from: addresses, pools and countries of the relay population; everything
 * else, such as who is disqualified or offline, from the demo's population. About 80 % are eligible, as in
 * the blueprint.
 */
import { population } from '../../src/server/demo/population.ts';
import { relayRows } from '../harness/population.ts';
import { networkOf } from '../select/peers.ts';
import type { PeerNode } from './peer.ts';

const SEED = 1;

/** `nowMs`: check-ins lie before it; later than four hours after it nobody is online any more. */
export function peerNodes(count: number, nowMs: number): Map<string, PeerNode> {
  const demo = population({ seed: SEED, nowMs, count });
  const nodes = new Map<string, PeerNode>();
  for (const { id, ip, port, vetted, attributes } of relayRows(count)) {
    const node = { id: String(id), ip, port, network: `${networkOf(ip)}.0` };
    const { value } = demo.next();
    if (value === undefined) throw new Error('the demo has fewer nodes than were asked for');
    const vettedAtMs = vetted ? value.createdAtMs : undefined;
    const row = { ...value, ...node, country: attributes?.[0] ?? 'ZZ', vettedAtMs };
    const pool = vetted ? 'vetted' : 'new';
    nodes.set(node.id, { ...node, pool, eligible: value.state === 'eligible', row });
  }
  return nodes;
}
