/** `/metrics`: Prometheus text of the whole server, whichever HTTP thread is asked. */
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { Type } from 'typebox';
import type { WholeServer } from '../app-context.ts';
import { inTime, type TimeLimit } from './in-time.ts';
import { COMMON_REFUSALS, NO_QUERY, problems } from './schemas.ts';

const { 406: _, ...REFUSALS } = COMMON_REFUSALS;

export interface MetricsContext extends TimeLimit {
  readonly whole: Pick<WholeServer, 'metrics'>;
}

export function metricsRoutes(app: FastifyInstance, context: MetricsContext): void {
  app.get(
    '/metrics',
    {
      schema: {
        summary: 'Prometheus metrics',
        tags: ['status'],
        querystring: NO_QUERY,
        response: {
          200: { description: 'Prometheus text.', content: { 'text/plain': { schema: Type.String() } } },
          ...problems(REFUSALS),
        },
      },
    },
    async (_, reply) => {
      const text = await inTime(context, 'the metrics', context.whole.metrics());
      return reply.header('content-type', Registry.PROMETHEUS_CONTENT_TYPE).send(text);
    },
  );
}
