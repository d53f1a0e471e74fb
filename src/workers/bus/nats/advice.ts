/** What is wrong with how a NATS server and its streams are set up, as far as it says. */
import { StorageType, type StreamInfo } from '@nats-io/jetstream';
import type { ServerInfo } from '@nats-io/transport-node';
import type { ResolvedNatsBus } from '../options.ts';

/** Before it a kill at the wrong moment could make the server forget a whole stream. */
const VERSION_SAFE = [2, 10, 23] as const;
const PAYLOAD_BYTES_MIN = 1_048_576;

export function natsAdvice(
  server: ServerInfo | undefined,
  streams: readonly StreamInfo[],
  options: ResolvedNatsBus,
): readonly string[] {
  const advice: string[] = [];
  if (server !== undefined && isOlder(server.version, VERSION_SAFE)) {
    advice.push(
      `NATS ${server.version} may forget a stream when it is killed (fixed in ${VERSION_SAFE.join('.')}): ` +
        'every replica then takes a whole snapshot anew; a newer server avoids that',
    );
  }
  if (server !== undefined && server.max_payload < PAYLOAD_BYTES_MIN) {
    advice.push(`max_payload is ${server.max_payload} bytes: blobs need ${PAYLOAD_BYTES_MIN} (1MB)`);
  }
  if (streams.some(({ config }) => config.storage === StorageType.File)) {
    advice.push(
      'NATS writes files through to the disk every 2 minutes unless it is told otherwise, so a power ' +
        'failure may take back what was stored: sync_interval: always in its jetstream block avoids that',
    );
  }
  for (const { config } of streams) {
    if (config.num_replicas === options.replicas) continue;
    advice.push(
      `stream ${config.name} has ${config.num_replicas} replicas, not ${options.replicas}: streams keep ` +
        'the settings that they were created with',
    );
  }
  return advice;
}

function isOlder(version: string, than: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number);
  for (const [index, least] of than.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}
