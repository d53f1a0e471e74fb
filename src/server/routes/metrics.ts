/**
 * `/metrics`: Prometheus text, from the process's own figures and from plain counters read when they are
 * asked for.
 */
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../app-context.ts';
import { metricsRegistry } from '../metrics.ts';
import { NO_QUERY } from './schemas.ts';

export function metricsRoutes(app: FastifyInstance, context: AppContext): void {
  const registry = metricsRegistry(context);
  app.addHook('onClose', (_, done) => {
    registry.clear();
    done();
  });
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
    async (_, reply) => reply.header('content-type', registry.contentType).send(await registry.metrics()),
  );
}
