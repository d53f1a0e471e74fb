/**
 * The keys of the HTTP server: listeners, limits, timeouts, shutdown. Limits as in the reliability paper,
 * section 4.3.
 */
import { choice, integer, integerOrAuto, text } from './key.ts';
import { AUTO_POOL_THREADS } from './machine.ts';

const MIB = 1_048_576;
const MINUTE_MS = 60_000;

const LISTENER_KEYS = {
  host: text({
    default: '127.0.0.1',
    accepts: 'an address or a host name',
    description: 'Data listener: address.',
  }),
  port: integer({
    default: 8117,
    min: 0,
    max: 65_535,
    description: 'Data listener: port; 0 takes a free one.',
  }),
  'admin.host': text({
    default: '127.0.0.1',
    accepts: 'an address or a host name',
    description: 'Admin listener: address. Beyond loopback it refuses to start without a token.',
  }),
  'admin.port': integer({
    default: 8118,
    min: 0,
    max: 65_535,
    description:
      'Admin listener: port; 0 takes a free one. The listener is off while no token is configured.',
  }),
  'admin.token': text<string | undefined>({
    default: undefined,
    accepts: '16 to 512 printable characters without blanks',
    pattern: /^[\x21-\x7e]{16,512}$/,
    secret: true,
    description: 'Bearer token of the admin routes; better given by `admin.tokenFile`.',
  }),
  'admin.tokenFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'File whose first line is the admin token.',
  }),
  'admin.failedLoginsMax': integer({
    default: 10,
    min: 1,
    max: 1_000_000,
    unit: 'requests',
    description: 'Wrong tokens that one address may send in a minute; then it is refused until that ends.',
  }),
};

const SELECTION_KEYS = {
  httpThreads: integerOrAuto({
    min: 1,
    max: 64,
    unit: 'threads',
    description:
      'Threads that serve HTTP on the one port, over one copy of the cache; each takes a reader seat. ' +
      '`auto`: the cores that the worker pool leaves, 8 at the most, where the system lets several ' +
      'threads share a port (Linux); else one. `http.connectionsMax` and `http.answerBytesMax` are divided ' +
      'among them.',
  }),
  serveFrom: choice({
    default: 'auto',
    choices: ['auto', 'prepared', 'in-place', 'pool'],
    description:
      'Where ordinary selections are computed: ahead of time by the worker pool for the requests that are ' +
      'asked for most, else on the HTTP thread (`prepared`); always on the HTTP thread; or always by the ' +
      'pool. `auto` is `prepared` where there are two cores or more, else `in-place`.',
  }),
  readyAgeMaxMs: integer({
    default: 0,
    min: 0,
    max: 30 * 24 * 60 * MINUTE_MS,
    unit: 'ms',
    description:
      'While what is served is older, /readyz says no, and selections are answered all the same; 0: it is ' +
      'never too old. Where changes are neither pushed nor polled, ages grow to `refresh.everyMs`.',
  }),
  'prepared.bytesMax': integer({
    default: 64 * MIB,
    min: 8 * MIB,
    max: 4_096 * MIB,
    unit: 'bytes',
    description:
      'Memory for prepared answers, over all HTTP threads: reserved as address space, paid for when used. ' +
      'Little memory for many threads means fewer answers each.',
  }),
  inPlaceLimitMicros: integer({
    default: 250,
    min: 0,
    max: 1_000_000,
    unit: 'µs',
    description: 'A selection estimated to take longer goes to the worker pool.',
  }),
  'workerPool.threads': integer({
    default: AUTO_POOL_THREADS,
    defaultText: 'one for four cores, 1 to 4',
    min: 1,
    max: 64,
    unit: 'threads',
    description: 'Threads of the worker pool; each takes a reader seat.',
  }),
  'workerPool.queueMax': integer({
    default: 64,
    min: 1,
    max: 10_000,
    unit: 'tasks',
    description:
      'Tasks that may wait for the pool; then batches are refused with OVERLOADED and single selections ' +
      'answered in place.',
  }),
  'workerPool.waitingMax': integer({
    default: 1_000,
    min: 1,
    max: 100_000,
    unit: 'requests',
    description:
      'Single selections that may gather for the next task of the pool; more are answered in place.',
  }),
  'limits.batchRequestsMax': integer({
    default: 1_000,
    min: 1,
    max: 10_000,
    unit: 'requests',
    description: 'Most requests in one batch.',
  }),
  'limits.batchPicksMax': integer({
    default: 110_000,
    min: 1,
    max: 1_000_000,
    unit: 'nodes',
    description: 'Most nodes that one batch may ask for in total.',
  }),
  'limits.lookupIdsMax': integer({
    default: 1_000,
    min: 1,
    max: 10_000,
    unit: 'ids',
    description: 'Most ids in one lookup, which is answered in place: below 2 µs an id.',
  }),
};

const TIMEOUT_KEYS = {
  'http.requestTimeoutMs': integer({
    default: 5_000,
    min: 100,
    max: 10 * MINUTE_MS,
    unit: 'ms',
    description: 'Limit of receiving a whole request.',
  }),
  'http.headersTimeoutMs': integer({
    default: 3_000,
    min: 100,
    max: 10 * MINUTE_MS,
    unit: 'ms',
    description: 'Limit of receiving the headers; not above the request timeout.',
  }),
  'http.connectionsCheckingIntervalMs': integer({
    default: 1_000,
    min: 50,
    max: MINUTE_MS,
    unit: 'ms',
    description: 'How often those two are enforced.',
  }),
  'http.sendTimeoutMs': integer({
    default: 5_000,
    min: 100,
    max: 10 * MINUTE_MS,
    unit: 'ms',
    description: 'A client that takes nothing of its answers for so long is cut off.',
  }),
  'http.connectionTimeoutMs': integer({
    default: 8_000,
    min: 100,
    max: 10 * MINUTE_MS,
    unit: 'ms',
    description: 'A connection on which nothing moves for so long is closed.',
  }),
  'http.handlerTimeoutMs': integer({
    default: 1_000,
    min: 10,
    max: 10 * MINUTE_MS,
    unit: 'ms',
    description: 'Limit of waiting for the worker pool.',
  }),
  'http.keepAliveTimeoutMs': integer({
    default: 15_000,
    min: 1,
    max: 60 * MINUTE_MS,
    unit: 'ms',
    description: 'How long an idle connection stays open; longer than the load balancer keeps it.',
  }),
};

const LIMIT_KEYS = {
  'http.requestsPerSocketMax': integer({
    default: 10_000,
    min: 1,
    max: 100_000_000,
    unit: 'requests',
    description: 'Requests on one connection before it is closed.',
  }),
  'http.headerBytesMax': integer({
    default: 8_192,
    min: 1_024,
    max: 65_536,
    unit: 'bytes',
    description: 'Largest request line and headers.',
  }),
  'http.headersMax': integer({
    default: 100,
    min: 16,
    max: 2_000,
    unit: 'headers',
    description: 'Most headers of a request.',
  }),
  'http.urlBytesMax': integer({
    default: 1_024,
    min: 64,
    max: 16_384,
    unit: 'bytes',
    description: 'Longest URL.',
  }),
  'http.paramLengthMax': integer({
    default: 64,
    min: 16,
    max: 1_024,
    unit: 'characters',
    description: 'Longest variable part of a path.',
  }),
  'http.bodyBytesMax': integer({
    default: 16_384,
    min: 256,
    max: 16 * MIB,
    unit: 'bytes',
    description: 'Largest body of one selection (and of an admin request); GET takes none.',
  }),
  'http.batchBodyBytesMax': integer({
    default: MIB,
    min: 256,
    max: 64 * MIB,
    unit: 'bytes',
    description: 'Largest body of a batch.',
  }),
  'http.lookupBodyBytesMax': integer({
    default: 131_072,
    min: 256,
    max: 64 * MIB,
    unit: 'bytes',
    description: 'Largest body of a lookup.',
  }),
  'http.connectionsMax': integer({
    default: 10_000,
    min: 1,
    max: 1_000_000,
    unit: 'connections',
    description:
      'Connections at once. Each HTTP thread takes an equal share; the kernel chooses the thread by a ' +
      'hash, so one may be full a little before all are.',
  }),
  'http.connectionsPerAddressMax': integer({
    default: 10_000,
    min: 1,
    max: 1_000_000,
    unit: 'connections',
    description:
      'Connections at once from one address, counted by each HTTP thread for itself: with N threads an ' +
      'address may hold up to N times as many.',
  }),
  'http.answerBytesMax': integer({
    default: 256 * MIB,
    min: MIB,
    max: 16_384 * MIB,
    unit: 'bytes',
    description:
      'Answers that wait for slow readers, in total; beyond it requests are refused with OVERLOADED. Each ' +
      'HTTP thread takes an equal share, and one answer always.',
  }),
  'http.eventLoopDelayMaxMs': integer({
    default: 50,
    min: 0,
    max: MINUTE_MS,
    unit: 'ms',
    description:
      'While the 99th percentile of the loop delay is above, a turn of the loop answers requests for so ' +
      'long, and refuses the rest with OVERLOADED; 0 switches this off.',
  }),
};

const SHUTDOWN_KEYS = {
  'shutdown.drainDelayMs': integer({
    default: 3_000,
    min: 0,
    max: 10 * MINUTE_MS,
    unit: 'ms',
    description: 'How long requests are still taken after /readyz says no.',
  }),
  'shutdown.deadlineMs': integer({
    default: 15_000,
    min: 100,
    max: 60 * MINUTE_MS,
    unit: 'ms',
    description: 'The process ends so long after the signal, whatever is still open.',
  }),
};

export const SERVER_KEYS = {
  ...LISTENER_KEYS,
  ...SELECTION_KEYS,
  ...TIMEOUT_KEYS,
  ...LIMIT_KEYS,
  ...SHUTDOWN_KEYS,
};
