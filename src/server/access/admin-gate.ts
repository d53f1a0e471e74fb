/**
 * Who calls the admin plane, in which role, and what becomes of it: every call that is let in, and every one
 * that is not, up to the limit of an address, is a line of the audit log. Main thread.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { LoginGuard } from '../http/login-guard.ts';
import { type Problem, Refusal } from '../routes/problem.ts';
import { bearerOf } from './access-gate.ts';
import type { AuditLog } from './audit-log.ts';
import { certificateRefusal } from './certificate-name.ts';
import { type Administrator, digestOf, mayAs, type Role } from './identity.ts';

/** The role that each route needs. What is not named does not exist, and any role is told so. */
const ROLE_OF: ReadonlyMap<string, Role> = new Map([
  ['/v1/admin/access', 'read'],
  ['/v1/admin/refresh', 'operate'],
  ['/v1/admin/revoke', 'operate'],
  ['/v1/admin/restore', 'operate'],
  ['/v1/admin/override', 'override'],
]);

export interface AdminGateOptions {
  readonly administrators: readonly Administrator[];
  /** A certificate of our authority is needed beside the token. */
  readonly certificates: boolean;
  readonly failedLoginsMax: number;
  readonly log: Logger;
  readonly audit: AuditLog;
  readonly generation: () => number;
}

interface Call {
  readonly actor: Administrator | undefined;
  readonly generationBefore: number;
}

export class AdminGate {
  readonly #options: AdminGateOptions;
  readonly #known: readonly (readonly [Administrator, Buffer])[];
  readonly #logins: LoginGuard;
  /** Absent: the call is not told of any more. */
  readonly #calls = new WeakMap<FastifyRequest, Call>();

  constructor(options: AdminGateOptions) {
    this.#options = options;
    this.#known = options.administrators.map(each => [each, Buffer.from(each.digest, 'hex')] as const);
    this.#logins = new LoginGuard(options.failedLoginsMax, () => performance.now());
  }

  /** Before the routes: nothing of them is reached by whoever may not. */
  guard(app: FastifyInstance): void {
    app.addHook('onRequest', (request, _, done) => {
      this.#admit(request);
      done();
    });
    app.addHook('onSend', (request, reply, payload, done) => {
      this.#tell(request, reply, payload);
      done();
    });
  }

  /** Throws FORBIDDEN when the caller of a request that was admitted does not have the role. */
  demand(request: FastifyRequest, role: Role, what: string): void {
    const actor = this.#calls.get(request)?.actor;
    if (actor !== undefined && mayAs(actor.role, role)) return;
    const detail = `${what} needs the role ${role}; ${actor?.name} has ${actor?.role}`;
    throw new Refusal({ code: 'FORBIDDEN', detail });
  }

  #admit(request: FastifyRequest): void {
    refuseGuessing(this.#logins.refusedMs(request.ip));
    const { certificates, generation } = this.#options;
    const actor = this.#actor(request);
    this.#calls.set(request, { actor, generationBefore: generation() });
    const refused = certificates ? certificateRefusal(request.raw.socket) : undefined;
    if (refused !== undefined) this.#shutOut(request, refused);
    if (actor === undefined) this.#shutOut(request, WRONG_TOKEN);
    const route = request.is404 ? undefined : request.routeOptions.url;
    if (route !== undefined) this.demand(request, ROLE_OF.get(route) ?? 'override', route);
  }

  /** All are compared, in constant time, whichever it is. */
  #actor({ headers }: FastifyRequest): Administrator | undefined {
    const token = bearerOf(headers.authorization ?? '');
    if (token === undefined) return undefined;
    const digest = Buffer.from(digestOf(token), 'hex');
    return this.#known.filter(([, known]) => timingSafeEqual(known, digest))[0]?.[0];
  }

  /** Counted by address, whatever was wrong: each would be a line of the audit else. */
  #shutOut(request: FastifyRequest, problem: Problem): never {
    const { log } = this.#options;
    const fields = { remoteAddress: request.ip };
    if (this.#logins.countFailure(request.ip))
      log.warn(fields, 'too many calls without a right token or certificate: refused for a minute');
    throw new Refusal(problem);
  }

  #tell(request: FastifyRequest, reply: FastifyReply, payload: unknown): void {
    const call = this.#calls.get(request);
    if (call === undefined) return;
    this.#calls.delete(request);
    const { audit, generation } = this.#options;
    audit.write({
      actor: call.actor?.name ?? null,
      role: call.actor?.role ?? null,
      remoteAddress: request.ip,
      method: request.method,
      route: request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown'),
      status: reply.statusCode,
      code: reply.statusCode < 400 ? undefined : problemCode(payload),
      generationBefore: call.generationBefore,
      generationAfter: generation(),
    });
  }
}

/** Of the problem document that is about to leave; absent where the answer has no body. */
function problemCode(payload: unknown): string | undefined {
  if (!Buffer.isBuffer(payload)) return undefined;
  return (JSON.parse(payload.toString()) as { readonly code?: string }).code;
}

const WRONG_TOKEN: Problem = {
  code: 'UNAUTHORIZED',
  detail: 'send the admin token as "Authorization: Bearer <token>"',
  field: 'authorization',
  headers: { 'www-authenticate': 'Bearer' },
};

function refuseGuessing(refusedMs: number): void {
  if (refusedMs === 0) return;
  const seconds = Math.ceil(refusedMs / 1_000);
  throw new Refusal({
    code: 'LOGINS_LIMITED',
    detail: `this address has sent too many wrong tokens or certificates: try again in ${seconds} s`,
    headers: { 'retry-after': String(seconds) },
  });
}
