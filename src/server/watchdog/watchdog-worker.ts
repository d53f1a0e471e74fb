/**
 * Entry of the watchdog thread: hears the beats of the main thread, finds out what it is at when they stop,
 * and answers probes meanwhile. What only some need is loaded when they do: the thread itself is small.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { BeatWatch } from './beat-watch.ts';
import { mainThreadStack } from './main-stack.ts';
import { ProbeAnswers } from './probe-answers.ts';
import type { MessageFromWatchdog, MessageToWatchdog, Stall, WatchdogData } from './watchdog-messages.ts';

const STACK_LIMIT_MS = 1_000;
/** To ask the debugger takes the main thread some 20 ms: not again and again while it is late anyway. */
const STACK_EVERY_MS = 60_000;

const { beat, beatEveryMs, http, log, options } = workerData as WatchdogData;
const { hungMs, probes, stallMs } = options;
const port = parentPort!;
const watch = new BeatWatch(beatEveryMs, performance.now());
const answers = new ProbeAnswers(options, () => watch.look(performance.now()), beat);

const UNANSWERED = { noStack: 'it went on before the debugger had answered' };
const UNSEEN = { noStack: 'it went on before it was looked at' };

/** The stall that goes on, with what is known of it. */
let stall: { found: Omit<Stall, 'stalledMs'>; isHung: boolean } | undefined;

let stackFoundAtMs = Number.NEGATIVE_INFINITY;

function post(message: MessageFromWatchdog): void {
  port.postMessage(message);
}

/** A hang is asked about however lately it was asked before. */
async function findStack({ isHang }: { readonly isHang: boolean }): Promise<Omit<Stall, 'stalledMs'>> {
  if (!answers.mayBePaused) return { noStack: 'the debugger may not be asked' };
  if (!isHang && performance.now() < stackFoundAtMs + STACK_EVERY_MS)
    return { noStack: `the debugger was asked less than ${STACK_EVERY_MS} ms before` };
  try {
    const stack = await mainThreadStack(STACK_LIMIT_MS);
    if (stack === undefined) return { noStack: 'it could not be stopped: a call of the system, or no time' };
    stackFoundAtMs = performance.now();
    return { stack };
  } catch (error) {
    return { noStack: (error as Error).message };
  }
}

async function stalls(): Promise<void> {
  const own: NonNullable<typeof stall> = { found: UNANSWERED, isHung: false };
  stall = own;
  own.found = await findStack({ isHang: false });
}

/** The main thread may never come to log anything again. */
async function hangs(own: NonNullable<typeof stall>): Promise<void> {
  own.isHung = true;
  if (own.found.stack === undefined) own.found = await findStack({ isHang: true });
  // It went on meanwhile, and says itself that it had stood still.
  if (stall !== own) return;
  const stalledMs = Math.round(watch.look(performance.now()));
  const { openLog } = await import('../log.ts');
  openLog(log).error({ stalledMs, ...own.found }, 'the main thread hangs');
}

function lastsAsHang(stillMs: number): boolean {
  return hungMs > 0 && stillMs > hungMs;
}

function lastsAsStall(stillMs: number): boolean {
  return lastsAsHang(stillMs) || (stallMs > 0 && stillMs > stallMs);
}

function look(): void {
  const stillMs = answers.stillMs();
  const isHung = lastsAsHang(stillMs);
  if (lastsAsStall(stillMs) && stall === undefined) void stalls();
  if (isHung && stall !== undefined && !stall.isHung) void hangs(stall);
}

function heard(message: MessageToWatchdog): void {
  if (message.kind === 'metrics') {
    answers.setMetrics(message.text);
    return;
  }
  const stalledMs = Math.round(watch.beat(performance.now()));
  answers.setBeat(message.beat);
  const found = stall?.found ?? (lastsAsStall(stalledMs) ? UNSEEN : undefined);
  if (found !== undefined) post({ kind: 'stalled', stalledMs, ...found });
  stall = undefined;
}

/** A thread that only watches is spared the framework. */
async function listenForProbes(address: NonNullable<typeof probes>): Promise<string> {
  const listener = await import('./probes-listener.ts');
  return listener.listenForProbes(answers, { address, http, log });
}

async function serve(): Promise<void> {
  const url = probes && (await listenForProbes(probes));
  port.on('message', heard);
  setInterval(look, beatEveryMs);
  post({ kind: 'listening', url });
}

try {
  await serve();
} catch (error) {
  post({ kind: 'failed', detail: (error as Error).message });
  port.close();
}
