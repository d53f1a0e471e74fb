/**
 * `/v1/admin/refresh`: load now; answered when the load is done. `/v1/admin/revoke`: take nodes out now;
 * answered when every selection that begins leaves them out. `/v1/admin/restore`: take that back.
 * `/v1/admin/override`: what the data guard would refuse is right, once. `/v1/admin/access`: who may ask the
 * data routes. Every call is logged with what it changed; that it was made stands in the audit log.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { REVOKED_ROWS_MAX } from '../../../native-layout/snapshot-layout.ts';
import type { Cache } from '../../workers/cache-types.ts';
import { VALIDATOR_NAMES, type ValidatorName } from '../../workers/guard/validators.ts';
import { HOLD_DEFAULT_MS, HOLD_MAX_MS } from '../../workers/revocations.ts';
import type { AccessKeeper } from '../access/access-keeper.ts';
import type { AdminGate } from '../access/admin-gate.ts';
import type { AppContext } from '../app-context.ts';
import { tidied } from '../server-status.ts';
import { sendDocument } from './format.ts';
import { problemOfData, sendProblem } from './problem.ts';
import { NO_QUERY, NodeIdSchema } from './schemas.ts';

const RefreshBody = Type.Object(
  { acceptDrop: Type.Optional(Type.Boolean({ description: 'Waives the drop limit for this one load.' })) },
  { additionalProperties: false },
);

/** Ids of a revocation at the most: as many as can be held out. */
const REVOKE_IDS_MAX = REVOKED_ROWS_MAX;
/** Room for that many ids as text. */
const REVOKE_BODY_BYTES_MAX = 100 * REVOKE_IDS_MAX;

const RevokedIds = Type.Array(NodeIdSchema, { minItems: 1, maxItems: REVOKE_IDS_MAX });

const RevokeBody = Type.Object(
  {
    ids: RevokedIds,
    holdSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: HOLD_MAX_MS / 1_000,
        default: HOLD_DEFAULT_MS / 1_000,
        description: 'How long they stay out at the most, should the source never confirm it.',
      }),
    ),
  },
  { additionalProperties: false },
);

const RestoreBody = Type.Object({ ids: RevokedIds }, { additionalProperties: false });

const OVERRIDE_SECONDS = 600;
const OVERRIDE_SECONDS_MAX = 86_400;

const OverrideBody = Type.Object(
  {
    validators: Type.Array(Type.Enum([...VALIDATOR_NAMES], { type: 'string' }), {
      minItems: 1,
      maxItems: VALIDATOR_NAMES.length,
      description: 'Validators that may fail, this once; as `guard.refusing` in the status names them.',
    }),
    expiresSeconds: Type.Optional(
      Type.Integer({ minimum: 1, maximum: OVERRIDE_SECONDS_MAX, default: OVERRIDE_SECONDS }),
    ),
  },
  { additionalProperties: false },
);

export interface AdminRouteParts {
  readonly context: AppContext;
  readonly cache: Cache;
  readonly access: AccessKeeper;
  readonly gate: AdminGate;
}

export function adminRoutes(app: FastifyInstance, parts: AdminRouteParts): void {
  const { access, cache, context } = parts;
  app.get(
    '/v1/admin/access',
    { schema: { summary: 'Who may ask the data routes', tags: ['admin'], querystring: NO_QUERY } },
    (request, reply) => sendDocument(request, reply, tidied({ ...access.status(), listed: access.list() })),
  );
  app.post(
    '/v1/admin/refresh',
    {
      schema: { summary: 'Load now', tags: ['admin'], querystring: NO_QUERY, body: RefreshBody },
      // No body at all asks for nothing special.
      preValidation: (request, _, done) => {
        request.body ??= request.headers['content-type'] === undefined ? {} : null;
        done();
      },
    },
    (request, reply) => refresh(parts, request, reply),
  );
  app.post(
    '/v1/admin/override',
    {
      schema: {
        summary: 'Let the next load be published that the guard would refuse, once',
        tags: ['admin'],
        querystring: NO_QUERY,
        body: OverrideBody,
      },
    },
    (request, reply) => override(context, cache, request, reply),
  );
  const revoking = { tags: ['admin'], querystring: NO_QUERY };
  app.post(
    '/v1/admin/revoke',
    {
      bodyLimit: REVOKE_BODY_BYTES_MAX,
      schema: { summary: 'Take nodes out of selections now', ...revoking, body: RevokeBody },
    },
    (request, reply) => revoke(context, cache, request, reply),
  );
  app.post(
    '/v1/admin/restore',
    {
      bodyLimit: REVOKE_BODY_BYTES_MAX,
      schema: { summary: 'Take revocations back', ...revoking, body: RestoreBody },
    },
    (request, reply) => restore(context, cache, request, reply),
  );
}

async function override(
  { log }: AppContext,
  cache: Cache,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { validators, expiresSeconds = OVERRIDE_SECONDS } = request.body as {
    readonly validators: readonly ValidatorName[];
    readonly expiresSeconds?: number;
  };
  const guard = await cache.override(validators, expiresSeconds * 1_000);
  log.info(
    { remoteAddress: request.ip, validators, expiresSeconds },
    'a refusal of the guard was overridden',
  );
  return sendDocument(request, reply, guard);
}

async function revoke(
  { log }: AppContext,
  cache: Cache,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { ids, holdSeconds } = request.body as {
    readonly ids: readonly string[];
    readonly holdSeconds?: number;
  };
  const holdMs = holdSeconds === undefined ? HOLD_DEFAULT_MS : holdSeconds * 1_000;
  const result = await cache.revoke(ids, { holdMs });
  log.info({ remoteAddress: request.ip, ids, holdMs, ...result }, 'nodes were revoked');
  const heldUntil = new Date(Date.now() + holdMs).toISOString();
  return sendDocument(request, reply, { generation: cache.generation(), ...result, heldUntil });
}

async function restore(
  { log }: AppContext,
  cache: Cache,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { ids } = request.body as { readonly ids: readonly string[] };
  const restored = await cache.restore(ids);
  log.info({ remoteAddress: request.ip, ids, restored }, 'revocations were taken back');
  return sendDocument(request, reply, { restored });
}

async function refresh(
  { cache, context: { log }, gate }: AdminRouteParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { acceptDrop = false } = request.body as { readonly acceptDrop?: boolean };
  if (acceptDrop) gate.demand(request, 'override', 'acceptDrop');
  const before = cache.generation();
  const result = await cache.refresh({ acceptDrop });
  log.info(
    { remoteAddress: request.ip, acceptDrop, before, after: cache.generation(), ok: result.ok },
    'a refresh was asked for',
  );
  if (!result.ok) return sendProblem(reply, problemOfData(result.error));
  return sendDocument(request, reply, tidied(result.report));
}
