/** The data plane, without listening: tests inject into it, `serve.ts` lets it listen. */
import type { FastifyInstance } from 'fastify';
import { BodyLane } from './answers/body-lane.ts';
import { FastLane } from './answers/fast-lane.ts';
import { SelectionAnswers } from './answers/selection-answers.ts';
import type { AppContext } from './app-context.ts';
import { baseApp } from './http/base-app.ts';
import { addDocumentation, documentationRoutes } from './routes/documentation.ts';
import { lookupRoutes } from './routes/lookup.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { probeRoutes } from './routes/probes.ts';
import { SELECTION_ROUTE, selectionRoutes } from './routes/selection.ts';
import { selectionsRoutes } from './routes/selections.ts';
import { statusRoutes } from './routes/status.ts';

/** How often what known requests were asked for before comes to count half. */
const COOL_MS = 1_000;
/** How often it is judged which requests are hot. */
const REVIEW_MS = 200;

export async function dataApp(context: AppContext): Promise<FastifyInstance> {
  const { counters, departures, log, options } = context;
  const answers = new SelectionAnswers(context, counters.requestCount(SELECTION_ROUTE, '2xx'));
  const lane = new FastLane((known, raw) => answers.answerKnown(known, raw));
  const bodyLane = new BodyLane({
    url: SELECTION_ROUTE,
    bodyBytesMax: options.http.bodyBytesMax,
    limits: options.limits,
    answer: (format, request, raw) => answers.answerRead(format, request, raw),
  });
  const app = baseApp({
    http: options.http,
    log,
    connectionTimeoutMs: options.http.connectionTimeoutMs,
    lastAnswers: () => context.phase === 'closing',
    countAnswer: (route, status) => counters.countRequest(route, status),
    answerFirst: (incoming, raw, otherwise) => {
      const { socket } = incoming;
      if (departures.hasRoom(socket)) {
        return lane.take(incoming, raw) || bodyLane.take(incoming, raw, otherwise);
      }
      departures.whenRoom(socket, () => {
        if (!lane.take(incoming, raw) && !bodyLane.take(incoming, raw, otherwise)) otherwise();
      });
      return true;
    },
  });
  const timers = [
    setInterval(() => lane.cool(), COOL_MS).unref(),
    setInterval(() => context.prepared?.review(), REVIEW_MS).unref(),
  ];
  app.addHook('onClose', (_, done) => {
    for (const timer of timers) clearInterval(timer);
    done();
  });
  await addDocumentation(app, context.version);
  selectionRoutes(app, { context, answers, lane, bodyLane });
  selectionsRoutes(app, context);
  lookupRoutes(app, context);
  statusRoutes(app, context);
  probeRoutes(app, context);
  metricsRoutes(app, context);
  documentationRoutes(app);
  return app;
}
