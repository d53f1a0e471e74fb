/**
 * The bus over NATS JetStream 2.9 or later. The log is a stream that followers read by ordered consumers;
 * the fence is argued in `nats/log.ts`. Blobs are plain messages of a second stream, read side by side: the
 * object store of the driver reads them one after the other through a consumer, and is many times slower.
 *
 * Newer servers would make some of it simpler, and are not needed: 2.10 tells its time with a stream, 2.11
 * forgets single messages after a time of their own and reads many in one request.
 */
import { JetStreamError } from '@nats-io/jetstream';
import { AuthorizationError, type ConnectionOptions, credsAuthenticator } from '@nats-io/transport-node';
import { invalidOption } from '../source/option-checks.ts';
import { type Bus, BusError } from './bus.ts';
import type { Engine } from './engine.ts';
import { EngineBus } from './engine-bus.ts';
import { commonFailure, errorText } from './failures.ts';
import { MESSAGE_OVERHEAD_BYTES, NatsConnection } from './nats/connection.ts';
import type { ResolvedNatsBus } from './options.ts';
import { firstLine, parseUrl, passwordOf, readSecret, tlsOptions, urlText } from './secrets.ts';

const SCHEMES = ['nats:', 'tls:'];
const PORT_DEFAULT = 4222;
/** What a server takes unless it is told otherwise, less what is not payload. */
const PAYLOAD_BYTES_MAX = 1_048_576 - MESSAGE_OVERHEAD_BYTES;

const DENIED = /authorization violation|authentication|permissions violation|not authorized/i;
const NOT_ENABLED = /jetstream (is )?not enabled/i;

export async function openNatsBus(options: ResolvedNatsBus): Promise<Bus> {
  const urls = await serverUrls(options);
  if (options.passwordFile !== undefined && urls[0].username === '') {
    throw invalidOption('passwordFile', 'needs a user in the URL, as in nats://user@host');
  }
  const hosts = urls.map(url => `${url.hostname}:${url.port || PORT_DEFAULT}`).join(',');
  const description = `nats at ${hosts}, ${options.prefix}`;
  const engine: Engine = {
    description,
    recordBytesMax: PAYLOAD_BYTES_MAX,
    partBytes: PAYLOAD_BYTES_MAX,
    failure: error => natsFailure(description, error),
    connect: async (_use, signal) => await NatsConnection.open(await natsTarget(options), options, signal),
  };
  return new EngineBus(engine, options);
}

async function serverUrls(options: ResolvedNatsBus): Promise<[URL, ...URL[]]> {
  const texts = (await urlText(options)).split(',').map(text => text.trim());
  return texts.map(text => parseUrl(text, SCHEMES, options)) as [URL, ...URL[]];
}

async function natsTarget(options: ResolvedNatsBus): Promise<ConnectionOptions> {
  const urls = await serverUrls(options);
  const [first] = urls;
  const secure = options.tls !== undefined || urls.some(url => url.protocol === 'tls:');
  return {
    servers: urls.map(url => `${url.hostname}:${url.port || PORT_DEFAULT}`),
    ...(await credentials(options, first)),
    ...(secure ? { tls: await natsTls(options, first) } : {}),
  };
}

async function credentials(options: ResolvedNatsBus, url: URL): Promise<ConnectionOptions> {
  if (options.credentialsFile !== undefined) {
    const file = await readSecret(options.credentialsFile, 'credentialsFile');
    return { authenticator: credsAuthenticator(file) };
  }
  if (options.tokenFile !== undefined) return { token: await firstLine(options.tokenFile, 'tokenFile') };
  if (url.username === '') return {};
  const pass = await passwordOf(options, url);
  const user = decodeURIComponent(url.username);
  // A lone name in the URL is a token, as everywhere in NATS.
  return pass === undefined ? { token: user } : { user, pass };
}

/** The driver takes the files' contents as text. */
async function natsTls(options: ResolvedNatsBus, url: URL): Promise<NonNullable<ConnectionOptions['tls']>> {
  const { ca, cert, key, servername } = await tlsOptions(options.tls ?? {}, url.hostname);
  return {
    ...(ca === undefined ? {} : { ca: String(ca) }),
    ...(cert === undefined ? {} : { cert: String(cert) }),
    ...(key === undefined ? {} : { key: String(key) }),
    ...(options.tls?.serverName === undefined ? {} : { servername }),
  };
}

function natsFailure(description: string, error: unknown): BusError {
  const common = commonFailure(description, error) ?? causeFailure(description, error);
  if (common !== undefined) return common;
  const text = errorText(error);
  if (NOT_ENABLED.test(text)) {
    const detail = `${description}: JetStream is not enabled there, or a stream has just gone away`;
    return new BusError('BUS_UNAVAILABLE', detail, { cause: error });
  }
  const denied = error instanceof AuthorizationError || DENIED.test(text);
  const what = error instanceof JetStreamError ? 'JetStream' : 'connection';
  return new BusError(denied ? 'BUS_DENIED' : 'BUS_UNAVAILABLE', `${description}, ${what}: ${text}`, {
    cause: error,
  });
}

/** The driver wraps what the socket said. */
function causeFailure(description: string, error: unknown): BusError | undefined {
  return error instanceof Error && error.cause !== undefined
    ? commonFailure(description, error.cause)
    : undefined;
}
