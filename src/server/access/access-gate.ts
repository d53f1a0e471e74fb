/**
 * Who asks, and whether they may: decided once a request, before any way to an answer, for the ways past the
 * framework as for the framework. HTTP threads. While data routes are open there is no gate at all.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { forbidden, type Problem } from '../routes/problem.ts';
import { certificateName } from './certificate-name.ts';
import { type AccessMode, digestOf, type Identity, KEY_PATTERN, RIGHTS } from './identity.ts';
import { RateWords } from './rate-words.ts';
import { isOpenRoute, type PublicGroup, rightOfRoute } from './route-rights.ts';

/** What a thread is told, at its start and when the file has changed. */
export interface AccessData {
  readonly mode: Exclude<AccessMode, 'open'>;
  /** Absent: every certificate of the authority is somebody, without limits. */
  readonly identities: readonly Identity[] | undefined;
  readonly rates: SharedArrayBuffer;
  readonly publicGroups: readonly PublicGroup[];
}

/** An identity, or why there is none. */
type Admission = Identity | Problem;

const ADMISSION = Symbol('admission');
const PAID = Symbol('paid');

interface Admitted extends IncomingMessage {
  [ADMISSION]?: Admission;
  /** Whether its rate had one left for it. */
  [PAID]?: boolean;
}

interface Known {
  readonly identity: Identity;
  readonly digest: Buffer;
}

/** Digits of a digest by which it is found; all of it is compared then, in constant time. */
const PREFIX_DIGITS = 16;
const RETRY_AFTER_S = '1';
const SELECTION_PATH = '/v1/selection';

export class AccessGate {
  readonly #mode: AccessData['mode'];
  readonly #publicGroups: readonly PublicGroup[];
  readonly #rates: RateWords;
  #byDigest = new Map<string, Known[]>();
  #byName: Map<string, Identity> | undefined;
  /** Names of certificates, which are read once a connection. */
  readonly #names = new WeakMap<Socket, string | Problem>();

  constructor(data: AccessData) {
    this.#mode = data.mode;
    this.#publicGroups = data.publicGroups;
    this.#rates = new RateWords(data.rates);
    this.replace(data.identities);
  }

  /** From now on these are all; connections that are open are asked again at their next request. */
  replace(identities: readonly Identity[] | undefined): void {
    this.#byName = identities && new Map(identities.map(identity => [identity.name, identity]));
    const byDigest = new Map<string, Known[]>();
    for (const identity of identities ?? []) {
      if (identity.digest === undefined) continue;
      const prefix = identity.digest.slice(0, PREFIX_DIGITS);
      const known = { identity, digest: Buffer.from(identity.digest, 'hex') };
      byDigest.set(prefix, [...(byDigest.get(prefix) ?? []), known]);
    }
    this.#byDigest = byDigest;
  }

  /**
   * True when the request plainly asks for a selection, and may be answered with one, but for its count.
   * Costs one of its rate. False: whoever knows its route asks for `refusal`.
   */
  admitsSelection(incoming: IncomingMessage): boolean {
    if (!asksForSelection(incoming)) return false;
    const admission = this.#admission(incoming);
    return (
      !isProblem(admission) && admission.rights.includes('select') && this.#takeOnce(incoming, admission)
    );
  }

  /**
   * Why a request to `route` is refused; undefined when it is not. `route`: the pattern; absent: unknown, or
   * not by this method. What needs a right costs one of the rate; what is open, or is not there, nothing.
   */
  refusal(incoming: IncomingMessage, route: string | undefined): Problem | undefined {
    if (route !== undefined && isOpenRoute(route, this.#publicGroups)) return undefined;
    const admission = this.#admission(incoming);
    if (isProblem(admission)) return admission;
    if (route === undefined) return undefined;
    if (!this.#takeOnce(incoming, admission)) return limited(admission);
    const right = rightOfRoute(route);
    if (admission.rights.includes(right)) return undefined;
    return forbidden(`${admission.name} may ${admission.rights.join(', ')}, not ${right}`);
  }

  /** True when that many nodes may be asked for in one selection. */
  allowsCount(incoming: IncomingMessage, count: number): boolean {
    const admission = this.#admission(incoming);
    return !isProblem(admission) && count <= (admission.countMax ?? Number.POSITIVE_INFINITY);
  }

  /** Why selections of these counts are refused, after the first of them was paid for. */
  refusalOfCounts(incoming: IncomingMessage, counts: readonly number[]): Problem | undefined {
    const admission = this.#admission(incoming);
    if (isProblem(admission)) return admission;
    const { name, countMax = Number.POSITIVE_INFINITY, ratePerSecond } = admission;
    if (counts.some(count => count > countMax)) {
      return {
        ...forbidden(`${name} may ask for ${countMax} nodes a selection at the most`),
        field: 'count',
      };
    }
    const more = counts.length - 1;
    if (more === 0 || ratePerSecond === undefined) return undefined;
    if (counts.length > ratePerSecond) {
      return forbidden(`${name} may ask for ${ratePerSecond} selections a second, in batches too`);
    }
    return this.#take(admission, more) ? undefined : limited(admission);
  }

  #admission(incoming: Admitted): Admission {
    const known = incoming[ADMISSION];
    if (known !== undefined) return known;
    const admission = this.#mode === 'keys' ? this.#byKey(incoming) : this.#byCertificate(incoming.socket);
    incoming[ADMISSION] = admission;
    return admission;
  }

  /** A request pays once, however often it is asked. */
  #takeOnce(incoming: Admitted, identity: Identity): boolean {
    if (identity.ratePerSecond === undefined) return true;
    const known = incoming[PAID];
    if (known !== undefined) return known;
    const paid = this.#take(identity, 1);
    incoming[PAID] = paid;
    return paid;
  }

  #take({ index, ratePerSecond }: Identity, requests: number): boolean {
    return ratePerSecond === undefined || this.#rates.take(index, requests, ratePerSecond, Date.now());
  }

  #byKey({ headers }: IncomingMessage): Admission {
    const { authorization } = headers;
    if (authorization === undefined) return UNAUTHORIZED;
    const key = bearerOf(authorization);
    if (key === undefined) return UNAUTHORIZED;
    const digest = digestOf(key);
    const candidates = this.#byDigest.get(digest.slice(0, PREFIX_DIGITS));
    if (candidates === undefined) return UNAUTHORIZED;
    const bytes = Buffer.from(digest, 'hex');
    return candidates.find(known => timingSafeEqual(known.digest, bytes))?.identity ?? UNAUTHORIZED;
  }

  #byCertificate(socket: Socket): Admission {
    let name = this.#names.get(socket);
    if (name === undefined) {
      name = certificateName(socket);
      this.#names.set(socket, name);
    }
    if (typeof name !== 'string') return name;
    if (this.#byName === undefined) return unlimited(name);
    return this.#byName.get(name) ?? forbidden('the name of the client certificate is not listed');
  }
}

/** As clients spell it; other spellings of the same route find their way later. */
function asksForSelection({ method, url }: IncomingMessage): boolean {
  if (method !== 'GET' && method !== 'POST') return false;
  return (
    url!.startsWith(SELECTION_PATH) &&
    (url!.length === SELECTION_PATH.length || url![SELECTION_PATH.length] === '?')
  );
}

/** The token of an `Authorization` header, where it has one. */
export function bearerOf(authorization: string): string | undefined {
  if (authorization.slice(0, 7).toLowerCase() !== 'bearer ') return undefined;
  const token = authorization.slice(7);
  return KEY_PATTERN.test(token) ? token : undefined;
}

function isProblem(admission: Admission): admission is Problem {
  return 'code' in admission;
}

const UNAUTHORIZED: Problem = Object.freeze({
  code: 'UNAUTHORIZED',
  detail: 'send an API key as "Authorization: Bearer <key>"',
  field: 'authorization',
  headers: { 'www-authenticate': 'Bearer' },
});

function unlimited(name: string): Identity {
  return { name, digest: undefined, countMax: undefined, ratePerSecond: undefined, rights: RIGHTS, index: 0 };
}

function limited({ name, ratePerSecond }: Identity): Problem {
  const detail = `${name} may ask ${ratePerSecond} times a second: try again in ${RETRY_AFTER_S} s`;
  return { code: 'RATE_LIMITED', detail, headers: { 'retry-after': RETRY_AFTER_S } };
}
