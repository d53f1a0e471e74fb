/**
 * Schemas that several routes share: requests, answers, problems. They check, and they are the OpenAPI
 * document.
 */
import { type TSchema, Type } from 'typebox';
import type { RequestLimits } from '../config/options.ts';

const ID_EXAMPLE = '0001dfdfc7af6bb154c650c374013b21c4767ef5486c184ef411ec160fbe1e3a';

export const NodeIdSchema = Type.String({
  pattern: '^[0-9a-fA-F]{64}$',
  description: '64 hexadecimal digits; in MessagePack also a binary of 32 bytes.',
  examples: [ID_EXAMPLE],
});

const PoolSchema = Type.Enum(['vetted', 'new'], { type: 'string' });

const PickSchema = Type.Object(
  {
    id: Type.String({
      description: '64 lower-case hexadecimal digits; in MessagePack a binary of 32 bytes.',
    }),
    ip: Type.String({ description: 'Dotted decimal, or IPv6 in its canonical short form.' }),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    pool: PoolSchema,
  },
  { examples: [{ id: ID_EXAMPLE, ip: '203.0.113.7', port: 28_967, pool: 'vetted' }] },
);

const GenerationSchema = Type.Integer({ description: 'Number of the snapshot that the answer is from.' });
const AgeSchema = Type.Integer({ description: 'Milliseconds since the read of that snapshot began.' });

export const SelectionAnswerSchema = Type.Object({
  generation: GenerationSchema,
  ageMs: AgeSchema,
  nodes: Type.Array(PickSchema),
});

export const ShortageSchema = Type.Object(
  {
    requested: Type.Integer(),
    found: Type.Integer(),
    vettedWanted: Type.Integer(),
    vettedFound: Type.Integer(),
    newWanted: Type.Integer(),
    newFound: Type.Integer(),
    vettedNodes: Type.Integer(),
    vettedGroups: Type.Integer(),
    newNodes: Type.Integer(),
    newGroups: Type.Integer(),
    excludedKnown: Type.Integer(),
    heldKnown: Type.Integer(),
    revoked: Type.Integer(),
    reason: Type.String(),
  },
  { description: 'Why fewer nodes were found than asked for.' },
);

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'One sentence for people.' }),
    code: Type.String({ description: 'Stable: match on this.' }),
    field: Type.Optional(Type.String({ description: 'The field at fault.' })),
  },
  {
    examples: [
      {
        type: 'urn:sortition:problem:request-invalid',
        title: 'The request is not valid',
        status: 400,
        detail: 'count is 0: it must be >= 1',
        code: 'REQUEST_INVALID',
        field: 'count',
      },
    ],
  },
);

export const ShortageProblemSchema = Type.Intersect([
  ProblemSchema,
  Type.Object({
    shortage: ShortageSchema,
    generation: GenerationSchema,
    ageMs: AgeSchema,
    nodes: Type.Array(PickSchema, { description: 'Those that were found.' }),
  }),
]);

export const LookupAnswerSchema = Type.Object({
  generation: GenerationSchema,
  ageMs: AgeSchema,
  nodes: Type.Array(
    Type.Union([
      Type.Object({
        id: Type.String(),
        ip: Type.String(),
        port: Type.Integer(),
        pool: Type.Enum(['vetted', 'new', 'ineligible'], { type: 'string' }),
      }),
      Type.Null(),
    ]),
    { description: 'In the order asked for; null at the place of an unknown id.' },
  ),
  unknown: Type.Array(Type.String(), { description: 'The unknown ids, in the order asked for.' }),
});

/** The fields that a URL can carry. */
function scalarFields(limits: RequestLimits) {
  return {
    count: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.countMax, description: 'How many; 110 by default.' }),
    ),
    newFraction: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1, description: 'Share of picks from the new pool.' }),
    ),
    placement: Type.Optional(Type.String({ description: 'Name of a placement; `default` by default.' })),
    distinct: Type.Optional(
      Type.String({ description: '`network`, `none`, or an attribute; the placement’s by default.' }),
    ),
    partial: Type.Optional(Type.Boolean({ description: 'A short answer is fine: 200 instead of 409.' })),
    fillWithNew: Type.Optional(
      Type.Boolean({ description: 'New nodes may fill up for missing vetted ones.' }),
    ),
    order: Type.Optional(
      Type.Enum(['random', 'vetted-first'], {
        type: 'string',
        description: 'Whether new picks stand anywhere, or behind the vetted ones; `random` by default.',
      }),
    ),
  };
}

export function selectionQuerySchema(limits: RequestLimits) {
  return Type.Object(scalarFields(limits), { additionalProperties: false });
}

export function selectionBodySchema(limits: RequestLimits) {
  const ids = (description: string) =>
    Type.Optional(Type.Array(NodeIdSchema, { maxItems: limits.idsMax, description }));
  return Type.Object(
    {
      ...scalarFields(limits),
      exclude: ids('Ids never returned; their networks stay usable.'),
      held: ids('Ids never returned, and their networks blocked.'),
    },
    { additionalProperties: false, examples: [{ count: 3, exclude: [ID_EXAMPLE] }] },
  );
}

export const NO_QUERY = Type.Object({}, { additionalProperties: false });

/** Both media types, as `@fastify/swagger` wants them beside a schema. */
export const MEDIA = {
  consumes: ['application/json', 'application/msgpack'],
  produces: ['application/json', 'application/msgpack'],
};

/** Responses of a route: its own, and problem documents for the statuses it can refuse with. */
export function responses(ok: TSchema, refusals: Readonly<Record<number, string>>) {
  const content = { 'application/json': { schema: ok }, 'application/msgpack': { schema: ok } };
  return { 200: { description: 'The answer.', content }, ...problems(refusals) };
}

/** Problem documents for the statuses that a route can refuse with. */
export function problems(refusals: Readonly<Record<number, string>>) {
  const entries = Object.entries(refusals).map(([status, description]) => [
    status,
    {
      description,
      content: {
        'application/problem+json': { schema: status === '409' ? ShortageProblemSchema : ProblemSchema },
      },
    },
  ]);
  return Object.fromEntries(entries);
}

/** What any request can be refused with, on every route, before the route is asked. */
export const HEAD_REFUSALS = {
  400: 'The request is not valid; `field` names what is wrong.',
  413: 'The body is too large, or the route takes none.',
  414: 'The URL is too long.',
  431: 'There are too many headers, or they are too large.',
};

export const COMMON_REFUSALS = {
  ...HEAD_REFUSALS,
  401: 'A valid API key is needed (where `access.mode` is `keys`).',
  403: 'Whoever asks may not do this, or not ask for so many nodes.',
  406: 'Neither format is acceptable.',
  429: 'Whoever asks has used up the rate of this second: see `Retry-After`.',
  503: 'No generation yet, or a limit is reached: try again after `Retry-After`.',
};

export const BODY_REFUSALS = {
  415: 'The body is neither JSON nor MessagePack.',
};
