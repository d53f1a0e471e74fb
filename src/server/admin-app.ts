/** The admin plane, without listening: its own listener, its own token, never on the data port. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Cache } from '../workers/cache-types.ts';
import type { AppContext } from './app-context.ts';
import { baseApp } from './http/base-app.ts';
import { LoginGuard } from './http/login-guard.ts';
import { adminRoutes } from './routes/admin.ts';
import { Refusal } from './routes/problem.ts';

/** A load that takes its whole deadline is still answered. */
const ANSWER_SLACK_MS = 5_000;

/** `token`: what `Authorization: Bearer …` must hold, on every path, known or not. */
export async function adminApp(context: AppContext, cache: Cache, token: string): Promise<FastifyInstance> {
  const { counters, log, options } = context;
  const app = baseApp({
    http: options.http,
    log,
    connectionTimeoutMs: 2 * options.admin.refreshTimeoutMs + ANSWER_SLACK_MS,
    lastAnswers: () => context.phase === 'closing',
    countAnswer: (route, status) => counters.countRequest(route, status),
  });
  const expected = digest(token);
  const guard = new LoginGuard(options.admin.failedLoginsMax, () => performance.now());
  app.addHook('onRequest', (request, _, done) => {
    refuseGuessing(guard.refusedMs(request.ip));
    if (!timingSafeEqual(digest(bearerToken(request)), expected)) {
      const fields = { remoteAddress: request.ip, url: request.url };
      log.warn(fields, 'an admin request was refused: wrong token');
      if (guard.countFailure(request.ip)) log.warn(fields, 'too many wrong tokens: refused for a minute');
      throw new Refusal({
        code: 'UNAUTHORIZED',
        detail: 'send the admin token as "Authorization: Bearer <token>"',
        field: 'authorization',
        headers: { 'www-authenticate': 'Bearer' },
      });
    }
    done();
  });
  adminRoutes(app, context, cache);
  return app;
}

function refuseGuessing(refusedMs: number): void {
  if (refusedMs === 0) return;
  const seconds = Math.ceil(refusedMs / 1_000);
  throw new Refusal({
    code: 'LOGINS_LIMITED',
    detail: `this address has sent too many wrong tokens: try again in ${seconds} s`,
    headers: { 'retry-after': String(seconds) },
  });
}

/** The token of the header, or a text that is no token. */
function bearerToken({ headers }: FastifyRequest): string {
  return /^Bearer ([\x21-\x7e]+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}

/** Of one length whatever the token, so that comparing says nothing about it. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
