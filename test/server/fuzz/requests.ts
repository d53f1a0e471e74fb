/**
 * Requests made from our own OpenAPI document: what it allows, what it forbids, methods and paths that it
 * does not have, and credentials that are none. Request `index` of `seed` is always the same.
 */
import { packr } from '../support/messagepack.ts';
import { FuzzRandom } from './random.ts';
import { changed, fitting, misfit, type Schema } from './schema.ts';

export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly schema: Schema;
}

export interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export interface FuzzCredentials {
  readonly full: string;
  /** Path → a key that may do something, but not this. */
  lowFor(path: string): string;
}

export interface FuzzSubject {
  readonly document: OpenApi;
  readonly ids: readonly string[];
  readonly credentials: FuzzCredentials;
}

/** What is wrong with a request, and so which statuses it may be answered with. */
export interface FuzzRequest {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  /** As the document has it; absent where it has none. */
  readonly operation: Operation | undefined;
  readonly bytes: Buffer;
  /** Statuses of which the answer must have one. */
  readonly statuses: readonly number[];
  /** Methods that `Allow` must name, for 405 and 204. */
  readonly allow?: readonly string[];
  /** Count of a selection that is right. */
  readonly count?: number;
}

interface Route {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

interface Draft extends Route {
  readonly query: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer | undefined;
  readonly count: number;
}

const FOREIGN_METHODS = ['PUT', 'DELETE', 'PATCH', 'POST', 'GET', 'TRACE', 'PROPFIND', 'OPTIONS'];
const ACCEPTED = ['*/*', 'application/json', 'application/msgpack', 'application/*;q=0.3', 'text/html, */*'];
const UNACCEPTABLE = ['text/html', 'image/*', '*/*;q=0', 'application/json;q=0'];
const DEFAULT_COUNT = 110;

export function fuzzRequest(subject: FuzzSubject, seed: number, index: number): FuzzRequest {
  const random = new FuzzRandom(seed, index);
  const route = random.pick(routesOf(subject.document));
  const draft = positive(subject, route, random);
  const make = random.pick(KINDS);
  return make(draft, subject, random) ?? right(draft, subject);
}

/** Their answers cost a hundred times as much as others, and hardly depend on what is asked. */
const HEAVY = ['/metrics', '/v1/status'];
const LIGHT_WEIGHT = 8;
const weighted = new WeakMap<OpenApi, readonly Route[]>();

/** As often as they are to be asked. */
function routesOf(document: OpenApi): readonly Route[] {
  const known = weighted.get(document);
  if (known !== undefined) return known;
  const routes = allRoutes(document).flatMap(route =>
    HEAVY.includes(route.path) ? [route] : Array.from({ length: LIGHT_WEIGHT }, () => route),
  );
  weighted.set(document, routes);
  return routes;
}

function allRoutes({ paths }: OpenApi): Route[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation,
    })),
  );
}

/** Everything about it fits the document. */
function positive({ credentials, ids }: FuzzSubject, route: Route, random: FuzzRandom): Draft {
  const { operation } = route;
  const headers: Record<string, string> = { authorization: `Bearer ${credentials.full}` };
  if (random.chance(0.5) && route.path !== '/metrics') headers.accept = random.pick(ACCEPTED);
  const given = (operation.parameters ?? []).filter(() => random.chance(0.4));
  const values = given.map(({ name, schema }) => [name, fitting(schema, random, ids, name)] as const);
  const query = values.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&');
  const content = operation.requestBody?.content;
  if (content === undefined) {
    return { ...route, headers, query, body: undefined, count: countOf(Object.fromEntries(values)) };
  }
  const type = random.pick(Object.keys(content));
  const value = fitting(content[type]!.schema, random, ids);
  headers['content-type'] = type;
  return { ...route, headers, query, body: encode(type, value, random), count: countOf(value) };
}

function countOf(value: unknown): number {
  return (value as { count?: number }).count ?? DEFAULT_COUNT;
}

function encode(type: string, value: unknown, random: FuzzRandom): Buffer {
  if (type === 'application/json') return Buffer.from(JSON.stringify(value, null, random.pick([0, 0, 0, 1])));
  return Buffer.from(packr.pack(value));
}

type Kind = (draft: Draft, subject: FuzzSubject, random: FuzzRandom) => FuzzRequest | undefined;

/** As often as they stand here. */
const KINDS: readonly Kind[] = [
  right,
  right,
  right,
  right,
  wrongBody,
  wrongBody,
  wrongBody,
  brokenBody,
  wrongQuery,
  wrongQuery,
  unknownQuery,
  wrongType,
  largeBody,
  unwantedBody,
  wrongAccept,
  wrongMethod,
  unknownPath,
  noCredential,
  lowCredential,
];

function request(draft: Draft, what: string, statuses: readonly number[], more = {}): FuzzRequest {
  const { body, headers, method, operation, path, query } = draft;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body === undefined ? '' : `content-length: ${body.length}\r\n`;
  const url = query === '' ? path : `${path}?${query}`;
  const head = Buffer.from(`${method} ${url} HTTP/1.1\r\nhost: x\r\n${lines.join('')}${length}\r\n`);
  const bytes = body === undefined ? head : Buffer.concat([head, body]);
  return { what, method, path, operation, bytes, statuses, ...more };
}

/** A fleet is not there; a selection may find too few. */
function right(draft: Draft, _: unknown): FuzzRequest {
  const { count, operation, path } = draft;
  const good = path === '/v1/fleet' ? [404] : operation.responses['409'] === undefined ? [200] : [200, 409];
  return request(draft, 'all of it fits', good, path === '/v1/selection' ? { count } : {});
}

function wrongBody(draft: Draft, { ids }: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  const content = draft.operation.requestBody?.content;
  if (content === undefined) return undefined;
  const type = draft.headers['content-type']!;
  const { schema } = content[type]!;
  let value = changed(fitting(schema, random, ids), random);
  for (let tries = 0; tries < 10 && misfit(schema, value) === undefined; tries++) {
    value = changed(value, random);
  }
  if (misfit(schema, value) === undefined) return undefined;
  return request({ ...draft, body: encode(type, value, random) }, 'a body that does not fit', [400]);
}

function brokenBody(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  const { body } = draft;
  if (body === undefined || body.length < 2) return undefined;
  const cut = body.subarray(0, 1 + random.below(body.length - 1));
  // The rest of a number is a number; objects have no such parts.
  if (body[0] !== 0x7b && draft.headers['content-type'] === 'application/json') return undefined;
  const broken = random.pick([
    cut,
    Buffer.concat([body, Buffer.from('}')]),
    Buffer.concat([body, body]),
    Buffer.alloc(0),
  ]);
  return request({ ...draft, body: broken }, 'a body that is broken', [400]);
}

const WRONG_TEXTS: Readonly<Record<string, readonly string[]>> = {
  integer: [
    '',
    'x',
    '-1',
    '0',
    '1.0',
    '1e2',
    '+5',
    '05',
    '1001',
    '99999999999999999999',
    '%20',
    '%00',
    '٣',
    'NaN',
  ],
  number: ['', 'x', '-0.1', '1.1', 'NaN', 'Infinity', '1e9', '0x1', '.5.', '%ff'],
  boolean: ['', 'yes', '1', '0', 'TRUE', 'True', 'null', '%00'],
  string: ['none-such', '__proto__', '%00', '%ff', 'constructor', 'DEFAULT', '%F0%9F%98%80'],
};

function wrongQuery(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  const { parameters = [] } = draft.operation;
  if (parameters.length === 0) return undefined;
  const { name, schema } = random.pick(parameters);
  const text = encodeURI(random.pick(WRONG_TEXTS[schema.type!]!)).replaceAll('%25', '%');
  const others = draft.query.split('&').filter(pair => pair !== '' && !pair.startsWith(`${name}=`));
  const wrong = random.chance(0.15) ? [`${name}=1`, `${name}=1`] : [`${name}=${text}`];
  return request({ ...draft, query: [...others, ...wrong].join('&') }, 'a query that does not fit', [400]);
}

function unknownQuery(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  if (!draft.path.startsWith('/v1/')) return undefined;
  const name = random.pick(['x', 'Count', 'count%5B%5D', '__proto__', 'constructor', '%00', 'limit']);
  const query = [draft.query, `${name}=1`].filter(Boolean).join('&');
  return request({ ...draft, query }, 'a query that is not there', [400]);
}

function wrongType(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  if (draft.body === undefined) return undefined;
  const type = random.pick([
    'text/plain',
    'application/xml',
    'x',
    'multipart/form-data; boundary=x',
    undefined,
  ]);
  const { 'content-type': _type, ...others } = draft.headers;
  const headers = random.chance(0.2)
    ? { ...draft.headers, 'content-encoding': 'gzip' }
    : { ...others, ...(type === undefined ? {} : { 'content-type': type }) };
  return request({ ...draft, headers }, 'a body of another type', [415]);
}

const LARGEST_BODY = 1_048_576;

function largeBody(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  if (draft.body === undefined || !random.chance(0.02)) return undefined;
  const body = Buffer.alloc(LARGEST_BODY + 1 + random.below(100), ' ');
  return request({ ...draft, body }, 'a body that is too large', [413]);
}

function unwantedBody(draft: Draft): FuzzRequest | undefined {
  if (draft.method === 'POST') return undefined;
  const body = Buffer.from('{}');
  return request({ ...draft, body }, 'a body where none is taken', [413]);
}

function wrongAccept(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest | undefined {
  if (draft.operation.responses['406'] === undefined || draft.path === '/v1/fleet') return undefined;
  const headers = { ...draft.headers, accept: random.pick(UNACCEPTABLE) };
  return request({ ...draft, headers }, 'a format that there is not', [406]);
}

function wrongMethod(draft: Draft, { document }: FuzzSubject, random: FuzzRandom): FuzzRequest {
  const known = Object.keys(document.paths[draft.path]!).map(method => method.toUpperCase());
  const methods = FOREIGN_METHODS.filter(method => !known.includes(method));
  const method = random.pick(methods);
  const allow = ['GET', 'HEAD', 'POST'].filter(each => known.includes(each === 'HEAD' ? 'GET' : each));
  const bare = { ...draft, method, operation: NO_OPERATION, query: '', body: undefined };
  const { 'content-type': _, ...headers } = draft.headers;
  return request({ ...bare, headers }, 'a method that there is not', [method === 'OPTIONS' ? 204 : 405], {
    operation: undefined,
    allow: [...allow, 'OPTIONS'],
  });
}

const NO_OPERATION: Operation = { responses: {} };

function unknownPath(draft: Draft, _: FuzzSubject, random: FuzzRandom): FuzzRequest {
  const path = random.pick([
    `${draft.path}/`,
    `${draft.path}x`,
    draft.path.toUpperCase(),
    `/${draft.path}`,
    '/v1',
    '/v1/admin/refresh',
    '/.env',
    `/${random.hex(8)}`,
    '/%00',
    '/v1/selection%2f',
    '/v1/%73election/../x',
  ]);
  const bare = { ...draft, path, operation: NO_OPERATION, query: '' };
  return request(bare, 'a path that there is not', [404], { operation: undefined });
}

const OPEN = ['/livez', '/readyz'];

function noCredential(
  draft: Draft,
  { credentials }: FuzzSubject,
  random: FuzzRandom,
): FuzzRequest | undefined {
  if (OPEN.includes(draft.path)) return undefined;
  const { authorization: _, ...others } = draft.headers;
  const { full } = credentials;
  const wrong = random.pick([
    undefined,
    `Bearer ${full}x`,
    `Bearer ${full.slice(1)}`,
    `Basic ${full}`,
    full,
    'Bearer',
    `Bearer ${random.hex(43)}`,
  ]);
  const headers = wrong === undefined ? others : { ...others, authorization: wrong };
  return request({ ...draft, headers }, 'no credential, or a wrong one', [401]);
}

function lowCredential(draft: Draft, { credentials }: FuzzSubject): FuzzRequest | undefined {
  if (OPEN.includes(draft.path)) return undefined;
  const headers = { ...draft.headers, authorization: `Bearer ${credentials.lowFor(draft.path)}` };
  return request({ ...draft, headers }, 'a credential that may not', [403]);
}
