/** The listener of the watchdog: probes and metrics, with the limits of the other listeners. */
import type { HttpOptions } from '../config/options.ts';
import { baseApp } from '../http/base-app.ts';
import { type ListenAddress, listenError, listenOn } from '../listen.ts';
import { type LogOptions, openLog } from '../log.ts';
import { metricsRoutes } from '../routes/metrics.ts';
import { probeRoutes } from '../routes/probes.ts';
import type { ProbeAnswers } from './probe-answers.ts';

export interface ProbesListenerOptions {
  readonly address: Omit<ListenAddress, 'reusePort'>;
  readonly http: HttpOptions;
  readonly log: LogOptions;
}

/** Returns the URL. Throws why it cannot listen there. */
export async function listenForProbes(
  answers: ProbeAnswers,
  { address, http, log }: ProbesListenerOptions,
): Promise<string> {
  const app = baseApp({
    http,
    log: openLog(log),
    tls: undefined,
    connectionTimeoutMs: http.connectionTimeoutMs,
    lastAnswers: () => false,
    countAnswer: () => undefined,
  });
  probeRoutes(app, answers);
  metricsRoutes(app, { options: { http }, whole: answers });
  try {
    return await listenOn(app, { ...address, reusePort: false }, http);
  } catch (error) {
    throw listenError(error, address, 'probes-address');
  }
}
