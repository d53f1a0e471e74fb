/**
 * What the main thread is at while its event loop stands still: the debugger, from another thread, stops it
 * for a moment where it is. Inside a call of the system it is not stopped, and nothing is found.
 */
import type { Debugger, Session } from 'node:inspector';
import { isMainThread } from 'node:worker_threads';
import { nodeInspector } from '../inspection.ts';

/** Frames from the innermost one on. */
const FRAMES_MAX = 12;

/**
 * The main thread may be asked: it is the one of the process, and Node's permission model is not on, under
 * which to try it ends the process (`parent_handle_ != nullptr`, seen with 24.21). On the thread itself.
 */
export function mayBePaused(): boolean {
  return process.features.inspector && isMainThread && process.permission === undefined;
}

/** `step in file:///app/work.js:12:5`, innermost first; undefined when it could not be stopped in time. */
export async function mainThreadStack(timeoutMs: number): Promise<readonly string[] | undefined> {
  const { Session } = nodeInspector();
  const session = new Session();
  session.connectToMainThread();
  try {
    return await pausedStack(session, timeoutMs);
  } finally {
    session.disconnect();
  }
}

function pausedStack(session: Session, timeoutMs: number): Promise<readonly string[] | undefined> {
  return new Promise(resolve => {
    const urls = new Map<string, string>();
    const late = setTimeout(() => resolve(undefined), timeoutMs);
    session.on('Debugger.scriptParsed', ({ params }) => void urls.set(params.scriptId, params.url));
    session.on('Debugger.paused', ({ params }) => {
      session.post('Debugger.resume');
      clearTimeout(late);
      const frames = params.callFrames.slice(0, FRAMES_MAX).map(frame => frameText(frame, urls));
      session.post('Debugger.disable', () => resolve(frames));
    });
    session.post('Debugger.enable');
    session.post('Debugger.pause');
  });
}

function frameText(frame: Debugger.CallFrame, urls: ReadonlyMap<string, string>): string {
  const { scriptId, lineNumber, columnNumber = 0 } = frame.location;
  const place = `${urls.get(scriptId) ?? frame.url}:${lineNumber + 1}:${columnNumber + 1}`;
  return `${frame.functionName === '' ? '(anonymous)' : frame.functionName} in ${place}`;
}
