/** A server's status in lines: what `sortition status` prints, and the page at `/` shows. */
import type { ServerStatus } from '../server-status.ts';
import { count, duration, several, tally } from './numbers.ts';

/** Name and value of what people want to know first. */
export function statusSummary(status: ServerStatus): (readonly [name: string, value: string])[] {
  const { loader, nodes, ways, workerPool, httpThreads } = status;
  const { changes, deltas, lastDelta, lastLoad, lastError, nextLoadInMs, refreshes } = loader;
  const lines: (readonly [name: string, value: string])[] = [
    ['ready', status.ready ? 'yes' : `no: ${status.notReady}`],
    ['generation', status.ageMs === null ? 'none' : `${status.generation}, ${duration(status.ageMs)} old`],
    ['source', loader.source],
    [
      'loader',
      nextLoadInMs === undefined ? loader.state : `${loader.state}, next load in ${duration(nextLoadInMs)}`,
    ],
    ['loads', `${count(refreshes.succeeded)} succeeded, ${count(refreshes.failed)} failed`],
  ];
  if (nodes !== null) {
    const { vetted, new: fresh, ineligible, networks } = nodes;
    lines.push([
      'nodes',
      `${count(vetted)} vetted, ${count(fresh)} new, ${count(ineligible)} not to be chosen`,
    ]);
    lines.push(['networks', count(networks)]);
  }
  if (lastLoad !== undefined) {
    lines.push(['last load', `${duration(lastLoad.durationMs)}, ${count(lastLoad.snapshotBytes)} bytes`]);
    lines.push(['refused', tally(lastLoad.refused)]);
    lines.push(['not chosen', tally(lastLoad.ineligible)]);
    lines.push(['absent', tally(lastLoad.absent)]);
  }
  if (changes?.mode !== undefined) {
    lines.push(['changes', changes.connected ? `by ${changes.mode}` : `by ${changes.mode}, not connected`]);
  }
  if (lastDelta !== undefined) {
    const took = `the last one in ${duration(lastDelta.durationMs)}`;
    lines.push(['deltas', `${count(deltas.published)}, ${count(deltas.failed)} failed, ${took}`]);
  }
  if (loader.revoked > 0) lines.push(['revoked', `${count(loader.revoked)} nodes are held out`]);
  if (loader.guard?.refusing) {
    const { validators, times } = loader.guard.refusing;
    lines.push(['guard', `refuses: ${validators.join(', ')} (${times} in a row)`]);
  }
  if (lastError !== undefined) {
    lines.push(['last error', `${lastError.code}: ${lastError.message} (${lastError.consecutive} in a row)`]);
  }
  const { prepared, inPlace, pool } = ways;
  lines.push([
    'answers',
    `${count(prepared)} prepared, ${count(inPlace)} in place, ${count(pool)} by the worker pool`,
  ]);
  lines.push([
    'HTTP threads',
    httpThreads.map(({ connections }) => several(connections, 'connection')).join(', '),
  ]);
  const { stalls } = status;
  if (stalls.count > 0) lines.push(['stalls', `${count(stalls.count)}, ${duration(stalls.totalMs)} in all`]);
  const threads = several(workerPool.threads, 'thread');
  lines.push(['worker pool', `${threads}, ${workerPool.queued} queued, ${workerPool.lost} lost`]);
  lines.push(['up', `${duration(status.uptimeMs)}, version ${status.version}, Node ${status.node}`]);
  return lines;
}
