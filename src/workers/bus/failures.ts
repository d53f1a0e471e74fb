/** What drivers and sockets throw, as a `BusError` that names the engine. Any thread. */
import { CacheError } from '../../engine/errors.ts';
import { UNREACHABLE } from '../unreachable.ts';
import { BusError } from './bus.ts';

/** Codes of Node.js for a certificate that was not accepted. */
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ERR_TLS|ERR_SSL/;

/** The failure of a socket or of our own files; `undefined`: the error is the driver's, to be told apart. */
export function commonFailure(description: string, error: unknown): BusError | undefined {
  if (error instanceof BusError) return error;
  if (error instanceof CacheError) return new BusError('BUS_DENIED', error.message, { cause: error });
  const code = errorCode(error);
  if (code in UNREACHABLE) {
    const detail = `${description} ${UNREACHABLE[code]} (${code})`;
    return new BusError('BUS_UNAVAILABLE', detail, { cause: error });
  }
  if (CERTIFICATE.test(code)) {
    const reason = `${errorText(error)} (${code})`;
    const detail = `${description} and we do not accept each other's certificates: ${reason}`;
    return new BusError('BUS_DENIED', detail, { cause: error });
  }
  return undefined;
}

export function errorCode(error: unknown): string {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown };
  if (typeof code === 'string') return code;
  // A host with several addresses fails with an error for each.
  return Array.isArray(errors) && errors.length > 0 ? errorCode(errors[0]) : '';
}

export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message === '' ? error.name : error.message;
}
