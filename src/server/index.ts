/**
 * The server's public face: everything a program imports from `sortition/server` to serve over HTTP from
 * inside its own process.
 */
import '../workers/node-version.ts';

export type { ConfigDocument } from './config/table.ts';
export { type Config, type ConfigInput, loadConfig } from './config.ts';
export { type RunningServer, startServer } from './serve.ts';
