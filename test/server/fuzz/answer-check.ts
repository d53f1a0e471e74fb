/** Whether an answer is what the document says, and what the request deserves. */
import { Unpackr } from 'msgpackr';
import type { WireAnswer } from './pipeline.ts';
import type { FuzzRequest } from './requests.ts';
import { misfit, type Schema } from './schema.ts';

const unpackr = new Unpackr({ useRecords: false });
const PROBLEM = 'application/problem+json';

/** Why the answer is wrong; undefined when it is right. */
export function answerProblem(request: FuzzRequest, answer: WireAnswer): string | undefined {
  const { status } = answer;
  if (status >= 500) return `a server error: ${status} ${answer.body.toString().slice(0, 500)}`;
  if (!request.statuses.includes(status)) {
    const body = answer.body.toString().slice(0, 500);
    return `the status is ${status}, not ${request.statuses.join(' or ')}: ${body}`;
  }
  return headersProblem(request, answer) ?? bodyProblem(request, answer) ?? selectionProblem(request, answer);
}

function headersProblem({ allow, what }: FuzzRequest, { headers, status }: WireAnswer): string | undefined {
  if (headers.get('cache-control') !== 'no-store') return 'the answer may be kept in caches';
  if (headers.has('server') || headers.has('x-powered-by')) return 'the answer says what made it';
  if (allow !== undefined && headers.get('allow') !== allow.join(', ')) {
    return `Allow is ${headers.get('allow')}, not ${allow.join(', ')}`;
  }
  if (status === 401 && headers.get('www-authenticate') !== 'Bearer') return `${what}: no WWW-Authenticate`;
  return status === 429 && !headers.has('retry-after') ? 'no Retry-After' : undefined;
}

function bodyProblem(request: FuzzRequest, { body, headers, status }: WireAnswer): string | undefined {
  if (request.method === 'HEAD' || status === 204) return body.length === 0 ? undefined : 'there is a body';
  const type = (headers.get('content-type') ?? '').split(';', 1)[0]!;
  const schema = schemaOf(request, status, type);
  if (typeof schema === 'string') return schema;
  if (type === 'text/plain') return misfit(schema, body.toString());
  const value = decode(type, body);
  const problem = misfit(schema, value);
  if (problem !== undefined) return `the body is not as documented: ${problem}`;
  if (type !== PROBLEM) return undefined;
  const { status: stated, code } = value as { status: number; code: string };
  if (stated !== status) return `the problem says ${stated}, the head ${status}`;
  return /^[A-Z_]+$/.test(code) && !body.includes('    at ')
    ? undefined
    : 'the problem holds no code, or a stack';
}

const AnyProblem: Schema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: { detail: { type: 'string' }, code: { type: 'string' }, status: { type: 'integer' } },
};

/** What is not in the document is a problem all the same. */
function schemaOf({ operation }: FuzzRequest, status: number, type: string): Schema | string {
  if (operation === undefined) return type === PROBLEM ? AnyProblem : `a refusal of type "${type}"`;
  const response = operation.responses[status];
  if (response === undefined) return `the status ${status} is not documented`;
  const content = response.content ?? {};
  return content[type]?.schema ?? `"${type}" is not documented for ${status}`;
}

function decode(type: string, body: Buffer): unknown {
  return type === 'application/msgpack' ? textIds(unpackr.unpack(body)) : JSON.parse(body.toString());
}

/** Binary ids as text, as the document says of them. */
function textIds(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(textIds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, textIds(member)]));
}

/** As many nodes as asked for, and none of them twice. */
function selectionProblem({ count, method }: FuzzRequest, { body, headers, status }: WireAnswer) {
  if (count === undefined || status !== 200 || method === 'HEAD') return undefined;
  const { nodes } = decode(headers.get('content-type')!, body) as { nodes: readonly { id: string }[] };
  if (nodes.length > count) return `${nodes.length} nodes instead of ${count}`;
  return new Set(nodes.map(({ id }) => id)).size === nodes.length ? undefined : 'a node is there twice';
}
