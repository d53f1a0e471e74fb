/** Networks of the made-up population: distinct, globally routable, as skewed as the real ones. */
import { assert } from '../../engine/assert.ts';
import type { DemoRandom } from './random.ts';

export interface DemoNetwork {
  /** As storj writes `last_net`: the first address of the /24 or /64. */
  readonly network: string;
  /** Address of the host with this number, from 0. */
  host(index: number): string;
}

/** First bytes that hold a special-use range, or are not unicast at all: none of their networks is used. */
const IPV4_FIRST_BYTES_AVOIDED = new Set([0, 10, 100, 127, 169, 172, 192, 198, 203]);
const IPV4_FIRST_BYTE_MAX = 223;
const IPV4_NETWORK_COUNT = 2 ** 24;
const IPV4_HOSTS_PER_NETWORK = 254;

/** First groups of address space that registries have handed out. */
const IPV6_FIRST_GROUPS = [0x2400, 0x2404, 0x2600, 0x2607, 0x2804, 0x2a01, 0x2a02, 0x2a03, 0x2a05] as const;

/** Share of networks that are IPv6. */
const IPV6_SHARE = 0.04;
/** Networks with a single node; the sizes of the others have a long tail. */
const SINGLE_SHARE = 0.78;
const TAIL_EXPONENT = 1.3;
const NETWORK_SIZE_MAX = 320;

export function networkSize(random: DemoRandom): number {
  if (random.chance(SINGLE_SHARE)) return 1;
  const size = Math.floor(2 * (1 - random.fraction()) ** (-1 / TAIL_EXPONENT));
  return Math.min(size, NETWORK_SIZE_MAX);
}

/** Every call gives another network. A permutation of all /24 keeps IPv4 distinct without remembering any. */
export function networkMaker(random: DemoRandom): () => DemoNetwork {
  const start = random.below(IPV4_NETWORK_COUNT);
  let used = 0;
  const nextIpv4 = (): number => {
    for (;;) {
      assert(used < IPV4_NETWORK_COUNT, 'every IPv4 network is used');
      const number = permuted((start + used++) % IPV4_NETWORK_COUNT);
      const first = number >>> 16;
      if (first <= IPV4_FIRST_BYTE_MAX && !IPV4_FIRST_BYTES_AVOIDED.has(first)) return number;
    }
  };
  return () => (random.chance(IPV6_SHARE) ? ipv6Network(random) : ipv4Network(nextIpv4()));
}

/** A bijection on 24 bits: each step can be undone. */
function permuted(index: number): number {
  let mixed = index ^ (index >>> 13);
  mixed = Math.imul(mixed, 0x9e_3779b1) & 0xff_ffff;
  mixed ^= mixed >>> 11;
  mixed = Math.imul(mixed, 0x85_ebca6b) & 0xff_ffff;
  return mixed ^ (mixed >>> 14);
}

function ipv4Network(number: number): DemoNetwork {
  const prefix = `${number >>> 16}.${(number >>> 8) & 0xff}.${number & 0xff}`;
  return { network: `${prefix}.0`, host: index => `${prefix}.${1 + (index % IPV4_HOSTS_PER_NETWORK)}` };
}

/** No group is zero but those that `::` stands for, so the text is the canonical one. */
function ipv6Network(random: DemoRandom): DemoNetwork {
  const group = () => random.between(1, 0xffff).toString(16);
  const prefix = `${random.pick(IPV6_FIRST_GROUPS).toString(16)}:${group()}:${group()}:${group()}`;
  return { network: `${prefix}::`, host: index => `${prefix}::${(index + 1).toString(16)}` };
}
