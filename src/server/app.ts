/** The data plane, without listening: tests inject into it, `serve.ts` lets it listen. */
import type { FastifyInstance } from 'fastify';
import type { AppContext } from './app-context.ts';
import { baseApp } from './http/base-app.ts';
import { addDocumentation, documentationRoutes } from './routes/documentation.ts';
import { lookupRoutes } from './routes/lookup.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { probeRoutes } from './routes/probes.ts';
import { selectionRoutes } from './routes/selection.ts';
import { selectionsRoutes } from './routes/selections.ts';
import { statusRoutes } from './routes/status.ts';

export async function dataApp(context: AppContext): Promise<FastifyInstance> {
  const { counters, log, options } = context;
  const app = baseApp({
    http: options.http,
    log,
    connectionTimeoutMs: options.http.connectionTimeoutMs,
    lastAnswers: () => context.phase === 'closing',
    countAnswer: (route, status) => counters.countRequest(route, status),
  });
  await addDocumentation(app, context.version);
  selectionRoutes(app, context);
  selectionsRoutes(app, context);
  lookupRoutes(app, context);
  statusRoutes(app, context);
  probeRoutes(app, context);
  metricsRoutes(app, context);
  documentationRoutes(app);
  return app;
}
