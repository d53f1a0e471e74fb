/**
 * A made-up population of storage nodes, streamed: skewed networks and countries, vetted and new nodes, and
 * every state that keeps a node out of selections. The same seed and moment give the same nodes. Pure.
 */
import type { NodeRow } from '../../engine/snapshot/node-row.ts';
import { networkMaker, networkSize } from './addresses.ts';
import { type DemoRandom, demoRandom } from './random.ts';

/** Rows of the largest installation that the blueprint describes. */
export const POPULATION_COUNT = 10_830;

/** What a node is, in the words of the eligibility criteria; about 80 % are eligible, as in the blueprint. */
export type DemoState = keyof typeof STATE_SHARES;

const STATE_SHARES = {
  disqualified: 0.06,
  exited: 0.03,
  gone: 0.03,
  'audit-suspended': 0.005,
  'offline-suspended': 0.01,
  exiting: 0.007,
  full: 0.03,
  offline: 0.023,
  'wrong-type': 0.003,
  eligible: 0.802,
} as const;

export interface DemoNode {
  readonly state: DemoState;
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  readonly network: string;
  readonly country: string;
  readonly type: number;
  readonly freeDiskBytes: number;
  readonly version: readonly [major: number, minor: number, patch: number];
  readonly release: boolean;
  /** The operator: who runs several nodes has one wallet. */
  readonly wallet: string;
  readonly createdAtMs: number;
  readonly lastContactMs: number;
  readonly vettedAtMs: number | undefined;
  /** When the state began; undefined for eligible nodes and states without a date of their own. */
  readonly sinceMs: number | undefined;
}

export interface PopulationOptions {
  readonly seed: number;
  /** The moment at which the nodes are as they are: times lie before it. */
  readonly nowMs: number;
  readonly count?: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const GIGABYTE = 1_000_000_000;
const STORAGE_NODE = 2;
const OTHER_TYPE = 3;
const PORT_FIRST = 28_967;
const VETTED_SHARE = 0.86;
const OWN_PORT_SHARE = 0.2;
const RELEASE_SHARE = 0.99;
/** Check-ins come every hour or two; an eligible node is at most this far from its last. */
const CHECK_IN_MAX_MS = 2 * HOUR_MS;

/** Weight of each country, after the public statistics of large storage networks. */
// biome-ignore format: a table of 42 lines says no more
const COUNTRY_WEIGHTS: Readonly<Record<string, number>> = {
  DE: 220, US: 150, FR: 75, NL: 70, RU: 65, GB: 50, FI: 45, CA: 38, PL: 34, CH: 30, SE: 28, UA: 26, IT: 22,
  ES: 20, CZ: 18, AT: 17, NO: 15, BE: 14, RO: 13, AU: 12, SG: 10, JP: 10, LT: 9, BG: 8, DK: 8, HU: 7, BR: 6,
  KR: 5, IE: 5, PT: 4, LV: 4, EE: 4, GR: 3, NZ: 3, ZA: 2, IN: 2, HK: 2, TW: 2, MX: 1, AR: 1, CL: 1, IL: 1,
};

const pickCountry = weightedPick(COUNTRY_WEIGHTS);
const pickState = weightedPick(STATE_SHARES);

export function* population(options: PopulationOptions): Generator<DemoNode> {
  const { seed, nowMs, count = POPULATION_COUNT } = options;
  const random = demoRandom(seed);
  const nextNetwork = networkMaker(random);
  let made = 0;
  while (made < count) {
    const { network, host } = nextNetwork();
    const group = { network, country: pickCountry(random), wallet: walletOf(random) };
    const size = Math.min(networkSize(random), count - made);
    const firstHost = random.below(200);
    for (let index = 0; index < size; index++) {
      yield makeNode(random, { ...group, ip: host(firstHost + index), port: portOf(random, index) }, nowMs);
      made++;
    }
  }
}

type Place = Pick<DemoNode, 'network' | 'country' | 'wallet' | 'ip' | 'port'>;

function makeNode(random: DemoRandom, place: Place, nowMs: number): DemoNode {
  const state = pickState(random);
  const ageMs = (0.5 + 1_500 * random.fraction() ** 2) * DAY_MS;
  const contactAgoMs = contactAgo(random, state, ageMs);
  const createdAtMs = Math.round(nowMs - Math.max(ageMs, contactAgoMs + DAY_MS));
  const vetted = random.chance(VETTED_SHARE) && state !== 'wrong-type';
  const lastContactMs = Math.round(nowMs - contactAgoMs);
  return {
    ...place,
    state,
    id: random.hex(64),
    type: state === 'wrong-type' ? OTHER_TYPE : STORAGE_NODE,
    freeDiskBytes: freeDisk(random, state),
    version: [1, random.chance(0.9) ? random.between(118, 121) : random.between(60, 117), random.below(5)],
    release: random.chance(RELEASE_SHARE),
    createdAtMs,
    lastContactMs,
    vettedAtMs: vetted ? between(random, createdAtMs, lastContactMs) : undefined,
    sinceMs: DATED_STATES.has(state) ? between(random, createdAtMs, lastContactMs) : undefined,
  };
}

const DATED_STATES: ReadonlySet<DemoState> = new Set([
  'disqualified',
  'exited',
  'audit-suspended',
  'offline-suspended',
  'exiting',
]);

function contactAgo(random: DemoRandom, state: DemoState, ageMs: number): number {
  if (state === 'gone') return (31 + 700 * random.fraction()) * DAY_MS;
  if (state === 'offline' || state === 'offline-suspended')
    return (5 + 24 * 20 * random.fraction()) * HOUR_MS;
  // Who has left for good stopped at some moment; the others check in.
  if (state === 'disqualified' || state === 'exited') return Math.max(HOUR_MS, ageMs * random.fraction());
  return CHECK_IN_MAX_MS * random.fraction();
}

function freeDisk(random: DemoRandom, state: DemoState): number {
  if (state === 'full') return random.below(5 * GIGABYTE);
  return 5 * GIGABYTE + Math.floor(8_000 * GIGABYTE * random.fraction() ** 3);
}

function between(random: DemoRandom, fromMs: number, toMs: number): number {
  return Math.round(fromMs + (toMs - fromMs) * random.fraction());
}

function portOf(random: DemoRandom, index: number): number {
  return random.chance(OWN_PORT_SHARE) ? random.between(1_025, 65_535) : PORT_FIRST + index;
}

function walletOf(random: DemoRandom): string {
  return `0x${random.hex(40)}`;
}

/** The entries are laid out once: a population of millions draws from them as often. */
function weightedPick<K extends string>(weights: Readonly<Record<K, number>>): (random: DemoRandom) => K {
  const entries = Object.entries(weights) as [K, number][];
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  return random => {
    let rest = random.fraction() * total;
    for (const [key, weight] of entries) {
      rest -= weight;
      if (rest < 0) return key;
    }
    return entries[0]![0];
  };
}

const ABSENT_STATES: ReadonlySet<DemoState> = new Set(['disqualified', 'exited', 'gone']);

const CRITERIA: Readonly<Partial<Record<DemoState, string>>> = {
  'audit-suspended': 'suspended',
  'offline-suspended': 'suspended',
  exiting: 'exiting',
  full: 'full',
  offline: 'offline',
  'wrong-type': 'wrong-type',
};

/** The row that a source delivers for the node, with its country; undefined for a node that is left out. */
export function demoRow(node: DemoNode): NodeRow | undefined {
  if (ABSENT_STATES.has(node.state)) return undefined;
  const { id, ip, port, network } = node;
  return {
    id,
    ip,
    port,
    network,
    vetted: node.vettedAtMs !== undefined,
    ineligible: CRITERIA[node.state],
    attributes: [node.country],
  };
}

export const CSV_HEADER = 'id,ip,port,network,vetted,ineligible,country';

/** The same row as a line of CSV, without its line break. */
export function csvLine(row: NodeRow): string {
  const cells = [row.id, row.ip, row.port, row.network ?? '', row.vetted ? 1 : 0, row.ineligible ?? ''];
  return [...cells, row.attributes[0] ?? ''].join(',');
}
