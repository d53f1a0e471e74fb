/** `/metrics`: Prometheus text of the whole server, whichever HTTP thread is asked. */
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import type { AppContext } from '../app-context.ts';
import { inTime } from './in-time.ts';
import { NO_QUERY } from './schemas.ts';

export function metricsRoutes(app: FastifyInstance, context: AppContext): void {
  app.get(
    '/metrics',
    {
      schema: {
        summary: 'Prometheus metrics',
        tags: ['status'],
        querystring: NO_QUERY,
        produces: ['text/plain'],
        response: { 200: { type: 'string' } },
      },
    },
    async (_, reply) => {
      const text = await inTime(context, 'the metrics', context.whole.metrics());
      return reply.header('content-type', Registry.PROMETHEUS_CONTENT_TYPE).send(text);
    },
  );
}
