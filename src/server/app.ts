/** The data plane, without listening: tests inject into it, `serve.ts` lets it listen. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { BodyLane } from './answers/body-lane.ts';
import { type AnswerRead, SelectionAnswers } from './answers/selection-answers.ts';
import { UrlLane } from './answers/url-lane.ts';
import { type AppContext, refuseAccess } from './app-context.ts';
import { baseApp } from './http/base-app.ts';
import { headProblem } from './http/head-check.ts';
import { readSelectionUrl } from './http/selection-url.ts';
import { mayBeShed, SERVICE_UNAVAILABLE, Shedder } from './http/turn-budget.ts';
import { unreadiness } from './readiness.ts';
import { addDocumentation, documentationRoutes } from './routes/documentation.ts';
import { fleetRoutes } from './routes/fleet.ts';
import { lookupRoutes } from './routes/lookup.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { pageRoutes } from './routes/page.ts';
import { probeRoutes } from './routes/probes.ts';
import { SELECTION_ROUTE, selectionRoutes } from './routes/selection.ts';
import { selectionsRoutes } from './routes/selections.ts';
import { statusRoutes } from './routes/status.ts';

/** How often it is judged which requests are hot. */
const REVIEW_MS = 200;

/** Which of them it was is not looked at. */
const SHED_ROUTE = 'shed';

export async function dataApp(context: AppContext): Promise<FastifyInstance> {
  const { counters, departures, gate, log, options } = context;
  const answers = new SelectionAnswers(context, counters.requestCount(SELECTION_ROUTE, '2xx'));
  const answerRead: AnswerRead = (format, request, raw) => answers.answerRead(format, request, raw);
  const rules = { path: SELECTION_ROUTE, charactersMax: options.http.urlBytesMax, limits: options.limits };
  const urlLane = new UrlLane({
    read: url => readSelectionUrl(url, rules),
    answerKnown: (known, raw) => answers.answerKnown(known, raw),
    answerRead,
  });
  const bodyLane = new BodyLane({
    url: SELECTION_ROUTE,
    bodyBytesMax: options.http.bodyBytesMax,
    limits: options.limits,
    answer: answerRead,
  });
  const app = baseApp({
    http: options.http,
    log,
    tls: context.tls,
    connectionTimeoutMs: options.http.connectionTimeoutMs,
    lastAnswers: () => context.phase === 'closing',
    countAnswer: (route, status) => counters.countRequest(route, status),
    onAnswer: (raw, bytes) => departures.hold(raw, bytes),
    answerFirst: framework => answerFirst({ context, urlLane, bodyLane }, framework),
  });
  if (gate !== undefined) {
    app.addHook('onRequest', (request, _, done) => {
      const route = request.is404 ? undefined : request.routeOptions.url;
      refuseAccess(context, gate.refusal(request.raw, route));
      done();
    });
  }
  const reviews = setInterval(() => context.prepared?.review(), REVIEW_MS).unref();
  app.addHook('onClose', (_, done) => {
    clearInterval(reviews);
    done();
  });
  await addDocumentation(app, context.version);
  selectionRoutes(app, { context, answers, urlLane });
  selectionsRoutes(app, context);
  lookupRoutes(app, context);
  statusRoutes(app, context);
  fleetRoutes(app, context);
  probeRoutes(app, {
    // Who answers lives.
    death: () => undefined,
    unreadiness: () => unreadiness(context),
    generation: () => context.cache.generation(),
  });
  metricsRoutes(app, context);
  documentationRoutes(app);
  pageRoutes(app, context);
  return app;
}

interface Lanes {
  readonly context: AppContext;
  readonly urlLane: UrlLane;
  readonly bodyLane: BodyLane;
}

/**
 * Every request comes here: past the framework where it may, to the framework where it must, or to nobody.
 */
function answerFirst({ bodyLane, context, urlLane }: Lanes, framework: RequestListener): RequestListener {
  const { counters, departures, gate, options, turn } = context;
  const { eventLoopDelayMaxMs, headersMax } = options.http;
  const shedder = new Shedder(eventLoopDelayMaxMs);
  const handOn = (incoming: IncomingMessage, raw: ServerResponse): void => {
    departures.track(raw);
    framework(incoming, raw);
  };
  const answer = (incoming: IncomingMessage, raw: ServerResponse): void => {
    if (context.overloaded && mayBeShed(incoming) && !turn.hasTime()) {
      counters.shed++;
      counters.countRequest(SHED_ROUTE, SERVICE_UNAVAILABLE);
      shedder.refuse(raw);
      return;
    }
    // Who asks wrongly by the head, or may not ask, is told so by the framework.
    const refused =
      headProblem(incoming, headersMax) !== undefined ||
      (gate !== undefined && !gate.admitsSelection(incoming));
    if (!refused && (urlLane.take(incoming, raw) || bodyLane.take(incoming, raw, handOn))) return;
    handOn(incoming, raw);
  };
  return (incoming, raw) => {
    const { socket } = incoming;
    if (departures.hasRoom(socket)) answer(incoming, raw);
    else departures.whenRoom(socket, () => answer(incoming, raw));
  };
}
