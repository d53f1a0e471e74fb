/** The admin plane, without listening: its own listener, its own tokens, never on the data port. */
import type { FastifyInstance } from 'fastify';
import type { Cache } from '../workers/cache-types.ts';
import type { AccessKeeper } from './access/access-keeper.ts';
import { AdminGate } from './access/admin-gate.ts';
import { AuditLog } from './access/audit-log.ts';
import { type Administrator, digestOf } from './access/identity.ts';
import { readTlsMaterial } from './access/tls-material.ts';
import type { AppContext } from './app-context.ts';
import { readAdministrators } from './config/access-checks.ts';
import type { AdminOptions } from './config/options.ts';
import { baseApp } from './http/base-app.ts';
import { adminRoutes } from './routes/admin.ts';

/** A load that takes its whole deadline is still answered. */
const ANSWER_SLACK_MS = 5_000;

export interface AdminParts {
  readonly context: AppContext;
  readonly cache: Cache;
  readonly access: AccessKeeper;
}

/** Undefined where there is no token. Throws what is wrong with a file. */
export function adminApp({ access, cache, context }: AdminParts): FastifyInstance | undefined {
  const { counters, log, options } = context;
  const { auditFile, failedLoginsMax, refreshTimeoutMs, tls } = options.admin;
  const administrators = administratorsOf(options.admin);
  if (administrators.length === 0) return undefined;
  const app = baseApp({
    http: options.http,
    log,
    tls: tls && readTlsMaterial(tls),
    connectionTimeoutMs: 2 * refreshTimeoutMs + ANSWER_SLACK_MS,
    lastAnswers: () => context.phase === 'closing',
    countAnswer: (route, status) => counters.countRequest(route, status),
  });
  const gate = new AdminGate({
    administrators,
    certificates: tls?.clientCaFile !== undefined,
    failedLoginsMax,
    log,
    audit: new AuditLog(log, auditFile),
    generation: () => cache.generation(),
  });
  gate.guard(app);
  adminRoutes(app, { access, cache, context, gate });
  return app;
}

function administratorsOf({ token, tokensFile }: AdminOptions): Administrator[] {
  const listed = tokensFile === undefined ? [] : readAdministrators(tokensFile);
  if (token === undefined) return listed;
  return [...listed, { name: 'admin.token', digest: digestOf(token), role: 'override' }];
}
