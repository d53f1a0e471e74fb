/**
 * A proxy on loopback between a client and a server that does to their bytes what networks do: cuts,
 * stalls, delays, drips, swallows (one way or both), refuses, garbles, duplicates. Faults apply to the
 * connections that there are and to those that come, until `mend()`.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LOOPBACK } from '../../src/server/demo/free-port.ts';

/** Towards the server, or towards the client. */
export type Direction = 'toServer' | 'toClient';
export type Directions = Direction | 'both';

export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

/** Changes bytes on their way; none: they are left out. */
export type Transform = (chunk: Buffer) => Buffer;

interface Faults {
  refuses: boolean;
  stalled: ReadonlySet<Direction>;
  swallowed: ReadonlySet<Direction>;
  delayMs: number;
  /** Bytes of a connection that pass before it is cut. */
  cutAtBytes: ReadonlyMap<Direction, number>;
  randomCuts: RandomCuts | undefined;
  /** Bytes a second, each way of each connection; 0: as fast as they come. */
  dripBytesPerSecond: number;
  garbling: RandomHarm | undefined;
  duplicating: RandomHarm | undefined;
}

export interface RandomHarm {
  /** Chance of a piece of data to be hit. */
  readonly share: number;
  /** From 0 to 1; seeded, so that a run can be repeated. */
  readonly random: () => number;
}

export interface RandomCuts {
  /** Chance of a piece of data to be the last of its connection, and cut short. */
  readonly share: number;
  /** From 0 to 1; seeded, so that a run can be repeated. */
  readonly random: () => number;
  /** Bytes that pass unharmed on each connection, either way counted alone: up to this, drawn anew. */
  readonly unharmedBytesMax: number;
}

function noFaults(): Faults {
  return {
    refuses: false,
    stalled: new Set(),
    swallowed: new Set(),
    delayMs: 0,
    cutAtBytes: new Map(),
    randomCuts: undefined,
    dripBytesPerSecond: 0,
    garbling: undefined,
    duplicating: undefined,
  };
}

const DRIP_EVERY_MS = 50;
/** What waits to be dripped before its sender is made to wait. */
const DRIP_WAITING_BYTES_MAX = 65_536;
const BITS_PER_BYTE = 8;
const EMPTY = Buffer.alloc(0);

export class TcpFaultProxy {
  readonly host = LOOPBACK;
  readonly #server: Server;
  readonly #target: () => ProxyTarget;
  readonly #pairs = new Set<Pair>();
  readonly #transforms = new Map<Direction, () => Transform>();
  #faults = noFaults();
  #acceptedCount = 0;
  #cutCount = 0;
  #leftCount = 0;

  private constructor(target: () => ProxyTarget) {
    this.#target = target;
    this.#server = createServer({ pauseOnConnect: true }, client => this.#accept(client));
  }

  /** `target` is asked for every connection: a server may move. */
  static async open(target: ProxyTarget | (() => ProxyTarget)): Promise<TcpFaultProxy> {
    const proxy = new TcpFaultProxy(typeof target === 'function' ? target : () => target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, LOOPBACK, resolve);
    });
    proxy.#server.unref();
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Connections since the start. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** Connections that were ended by a fault. */
  get cutCount(): number {
    return this.#cutCount;
  }

  /** Connections that the client has ended. */
  get leftCount(): number {
    return this.#leftCount;
  }

  /** Resets the connections that there are. */
  cut(): void {
    for (const pair of [...this.#pairs]) this.#cutPair(pair);
  }

  /** New connections are closed at once. */
  refuse(): void {
    this.#faults.refuses = true;
  }

  /** Nothing more is read from the sender of that direction: it notices when the buffers are full. */
  stall(directions: Directions): void {
    this.#faults.stalled = directionsOf(directions);
    for (const pair of this.#pairs) pair.flow();
  }

  /** What is sent in that direction is taken and lost; the end of a connection is not seen there either. */
  swallow(directions: Directions): void {
    this.#faults.swallowed = directionsOf(directions);
    for (const pair of this.#pairs) pair.lossy = true;
  }

  delay(ms: number): void {
    this.#faults.delayMs = ms;
  }

  /** So few bytes a second pass each way of each connection: something comes all the time, and never all. */
  drip(bytesPerSecond: number): void {
    this.#faults.dripBytesPerSecond = bytesPerSecond;
  }

  /** Single bits of what is on its way are turned over. */
  garble(harm: RandomHarm): void {
    this.#faults.garbling = harm;
  }

  /** Pieces of data arrive twice. */
  duplicate(harm: RandomHarm): void {
    this.#faults.duplicating = harm;
  }

  /** Connections that come are cut right after so many bytes in that direction. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#faults.cutAtBytes = new Map([[direction, bytes]]);
  }

  /** Connections that come are cut at random. */
  cutRandomly(cuts: RandomCuts): void {
    this.#faults.randomCuts = cuts;
  }

  /** All bytes of that direction go through a transform of their connection's own, until the proxy closes. */
  transform(direction: Direction, make: () => Transform): void {
    this.#transforms.set(direction, make);
  }

  /** No more faults. Connections that have lost bytes are cut: no protocol can go on over them. */
  mend(): void {
    this.#faults = noFaults();
    for (const pair of [...this.#pairs]) {
      if (pair.lossy) this.#cutPair(pair);
      else pair.flow();
    }
  }

  async close(): Promise<void> {
    for (const pair of [...this.#pairs]) pair.destroy();
    await new Promise(resolve => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.#acceptedCount++;
    if (this.#faults.refuses) {
      client.resetAndDestroy();
      return;
    }
    const { host, port } = this.#target();
    const transforms = new Map([...this.#transforms].map(([direction, make]) => [direction, make()]));
    const pair = new Pair(client, connect(port, host), transforms, {
      faults: () => this.#faults,
      cut: () => this.#cutPair(pair),
      gone: () => this.#pairs.delete(pair),
    });
    client.once('close', () => {
      if (!pair.isDestroyed) this.#leftCount++;
    });
    this.#pairs.add(pair);
    pair.lossy = this.#faults.swallowed.size > 0;
    pair.flow();
  }

  #cutPair(pair: Pair): void {
    this.#cutCount++;
    pair.destroy();
  }
}

interface PairOwner {
  faults(): Faults;
  cut(): void;
  gone(): void;
}

/** The two sockets of a connection. */
class Pair {
  /** Has lost bytes, or may have. */
  lossy = false;
  /** By the proxy. */
  isDestroyed = false;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #transforms: ReadonlyMap<Direction, Transform>;
  readonly #owner: PairOwner;
  readonly #passedBytes = { toServer: 0, toClient: 0 };
  readonly #full = { toServer: false, toClient: false };
  /** Received, and not yet dripped. */
  readonly #dripping: Record<Direction, Buffer> = { toServer: EMPTY, toClient: EMPTY };
  #dripTimer: NodeJS.Timeout | undefined;
  /** Received, and delayed; oldest first. */
  readonly #late: Record<Direction, Buffer[]> = { toServer: [], toClient: [] };
  readonly #unharmedBytes: number;

  constructor(
    client: Socket,
    server: Socket,
    transforms: ReadonlyMap<Direction, Transform>,
    owner: PairOwner,
  ) {
    this.#client = client;
    this.#server = server;
    this.#transforms = transforms;
    this.#owner = owner;
    const cuts = owner.faults().randomCuts;
    this.#unharmedBytes = cuts === undefined ? 0 : cuts.random() * cuts.unharmedBytesMax;
    this.#join(client, server, 'toServer');
    this.#join(server, client, 'toClient');
  }

  /** Reads from either side unless that is stalled, or its bytes cannot be passed on. */
  flow(): void {
    const { stalled } = this.#owner.faults();
    for (const [socket, direction] of [
      [this.#client, 'toServer'],
      [this.#server, 'toClient'],
    ] as const) {
      const waits = this.#full[direction] || this.#dripping[direction].length > DRIP_WAITING_BYTES_MAX;
      if (stalled.has(direction) || waits) socket.pause();
      else socket.resume();
    }
  }

  destroy(): void {
    this.isDestroyed = true;
    clearInterval(this.#dripTimer);
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
    this.#owner.gone();
  }

  #join(from: Socket, to: Socket, direction: Direction): void {
    from.setNoDelay(true);
    from.on('error', () => undefined);
    from.on('data', chunk => {
      const { dripBytesPerSecond } = this.#owner.faults();
      if (dripBytesPerSecond > 0 || this.#dripping[direction].length > 0) this.#dripLater(chunk, direction);
      else this.#passLater(chunk, to, direction);
    });
    from.on('close', () => {
      // Who is on the other side of a black hole does not learn that somebody has left.
      const { swallowed, stalled } = this.#owner.faults();
      if (!swallowed.has(direction) && !stalled.has(direction)) this.#leave(to);
    });
    to.on('drain', () => {
      this.#full[direction] = false;
      this.flow();
    });
  }

  #dripLater(chunk: Buffer, direction: Direction): void {
    this.#dripping[direction] = Buffer.concat([this.#dripping[direction], chunk]);
    this.#dripTimer ??= setInterval(() => {
      this.#dripOnce(this.#server, 'toServer');
      this.#dripOnce(this.#client, 'toClient');
    }, DRIP_EVERY_MS);
    this.flow();
  }

  #dripOnce(to: Socket, direction: Direction): void {
    const waiting = this.#dripping[direction];
    if (waiting.length === 0) return;
    const { dripBytesPerSecond } = this.#owner.faults();
    const bytes =
      dripBytesPerSecond === 0
        ? waiting.length
        : Math.max(1, Math.floor((dripBytesPerSecond * DRIP_EVERY_MS) / 1_000));
    this.#dripping[direction] = waiting.subarray(bytes);
    this.#pass(waiting.subarray(0, bytes), to, direction);
    this.flow();
  }

  #leave(to: Socket): void {
    clearInterval(this.#dripTimer);
    to.end();
    to.destroySoon();
    this.#owner.gone();
  }

  #passLater(chunk: Buffer, to: Socket, direction: Direction): void {
    const { delayMs } = this.#owner.faults();
    const late = this.#late[direction];
    if (delayMs === 0 && late.length === 0) {
      this.#pass(chunk, to, direction);
      return;
    }
    late.push(chunk);
    // Whatever is due, the oldest goes first: no fault changes the order of bytes.
    setTimeout(() => this.#pass(late.shift()!, to, direction), delayMs);
  }

  #pass(received: Buffer, to: Socket, direction: Direction): void {
    const faults = this.#owner.faults();
    if (faults.swallowed.has(direction)) {
      this.lossy = true;
      return;
    }
    const chunk = this.#harmed(this.#transforms.get(direction)?.(received) ?? received);
    const cutAt = this.#cutAt(chunk.byteLength, direction);
    if (cutAt === undefined) {
      this.#passedBytes[direction] += chunk.byteLength;
      this.#full[direction] = !to.write(chunk);
      if (this.#full[direction]) this.flow();
      return;
    }
    // The first bytes do arrive: the other side gets half a message.
    to.write(chunk.subarray(0, cutAt), () => this.#owner.cut());
  }

  /** What becomes of a piece of data by chance. */
  #harmed(chunk: Buffer): Buffer {
    const { garbling, duplicating } = this.#owner.faults();
    let harmed = chunk;
    if (garbling !== undefined && garbling.random() < garbling.share && chunk.length > 0) {
      harmed = Buffer.from(chunk);
      const at = Math.floor(garbling.random() * chunk.length);
      harmed[at] = chunk[at]! ^ (1 << Math.floor(garbling.random() * BITS_PER_BYTE));
      this.lossy = true;
    }
    if (duplicating !== undefined && duplicating.random() < duplicating.share) {
      harmed = Buffer.concat([harmed, harmed]);
      this.lossy = true;
    }
    return harmed;
  }

  /** How many bytes of the next piece pass before the connection is cut; `undefined`: it is not. */
  #cutAt(bytes: number, direction: Direction): number | undefined {
    const { cutAtBytes, randomCuts } = this.#owner.faults();
    const passedBytes = this.#passedBytes[direction];
    const leftBytes = (cutAtBytes.get(direction) ?? Number.POSITIVE_INFINITY) - passedBytes;
    if (leftBytes < bytes) return Math.max(0, leftBytes);
    if (randomCuts === undefined || passedBytes < this.#unharmedBytes) return undefined;
    const { share, random } = randomCuts;
    return random() < share ? Math.floor(random() * bytes) : undefined;
  }
}

function directionsOf(directions: Directions): ReadonlySet<Direction> {
  return new Set(directions === 'both' ? ['toServer', 'toClient'] : [directions]);
}
