/**
 * Loaded into a served process before its own program (`--import`), so that a runner can do to its threads
 * what bugs, limits and operators do: end them, fill their heap, have them spin, or catch them at a line.
 * The program is the product's own, without a hook for this: lines are caught by V8's debugger, through
 * the inspector of worker threads. Costs nothing until something is asked for. Main thread of the served
 * process.
 */
import { Session } from 'node:inspector';
import { isMainThread, type Worker } from 'node:worker_threads';
import type {
  FromInside,
  InsideAnswers,
  InsideQuestion,
  Place,
  ThreadKind,
  Trap,
} from './inside-messages.ts';

interface Attached {
  readonly sessionId: string;
  readonly threadId: number;
  readonly kind: ThreadKind;
  isDebugged: boolean;
}

interface SetTrap extends Trap {
  left: number;
  sprung: number;
}

interface Paused {
  readonly callFrames: readonly {
    readonly location: { readonly lineNumber: number };
    readonly url: string;
  }[];
  readonly hitBreakpoints?: readonly string[];
}

const keyOf = ({ file, line }: Place) => `${file}:${line}`;

class Inside {
  readonly #session = new Session();
  readonly #workers = new Map<number, Worker>();
  readonly #attached = new Map<string, Attached>();
  readonly #traps = new Map<string, SetTrap>();
  #isDebugging = false;
  #messageCount = 0;

  constructor() {
    process.on('worker', worker => {
      const { threadId } = worker;
      this.#workers.set(threadId, worker);
      worker.once('exit', () => this.#workers.delete(threadId));
    });
    this.#session.connect();
    this.#session.on('NodeWorker.attachedToWorker', ({ params }) => {
      const { title } = params.workerInfo;
      const { sessionId } = params;
      // `workerId` counts those that were attached; the thread's own number is in the title.
      const threadId = Number(/^\[worker (\d+)\]/.exec(title)?.[1]);
      const attached = { sessionId, threadId, kind: kindOf(title), isDebugged: false };
      this.#attached.set(sessionId, attached);
      if (this.#isDebugging && attached.kind === 'loader') this.#debug(attached);
      this.#send(attached, 'Runtime.runIfWaitingForDebugger', {});
    });
    this.#session.on('NodeWorker.detachedFromWorker', ({ params }) => {
      this.#attached.delete(params.sessionId);
    });
    this.#session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const said = JSON.parse(params.message) as { readonly method?: string; readonly params: Paused };
      const attached = this.#attached.get(params.sessionId);
      if (said.method === 'Debugger.paused' && attached !== undefined) this.#caught(attached, said.params);
    });
    // Threads that start later are attached before their first line.
    this.#session.post('NodeWorker.enable', { waitForDebuggerOnStart: true });
  }

  answer(question: InsideQuestion): InsideAnswers[keyof InsideAnswers] {
    switch (question.kind) {
      case 'evaluate':
        return this.#evaluate(question.thread, question.expression);
      case 'terminate':
        return this.#terminate(question.thread, question.count);
      case 'set':
        return this.#set(question.trap);
      case 'sprung':
        return this.#traps.get(keyOf(question.place))?.sprung ?? 0;
      case 'clear':
        for (const trap of this.#traps.values()) trap.left = 0;
        return null;
      case 'memory':
        return process.memoryUsage();
      case 'threads':
        return this.#of(question.thread).map(({ threadId }) => threadId);
    }
  }

  #of(kind: ThreadKind): Attached[] {
    return [...this.#attached.values()].filter(attached => attached.kind === kind);
  }

  #evaluate(kind: ThreadKind, expression: string): number {
    if (kind === 'main') {
      // After the answer has been sent.
      setImmediate(() => this.#session.post('Runtime.evaluate', { expression }));
      return 1;
    }
    const threads = this.#of(kind);
    for (const thread of threads) this.#send(thread, 'Runtime.evaluate', { expression });
    return threads.length;
  }

  #terminate(kind: ThreadKind, count: number): number {
    const threads = this.#of(kind).slice(0, count);
    const workers = threads.flatMap(({ threadId }) => this.#workers.get(threadId) ?? []);
    for (const worker of workers) void worker.terminate();
    return workers.length;
  }

  #set(trap: Trap): null {
    this.#traps.set(keyOf(trap.place), { ...trap, left: trap.times, sprung: 0 });
    this.#isDebugging = true;
    for (const attached of this.#of('loader')) {
      if (attached.isDebugged) this.#arm(attached, trap);
      else this.#debug(attached);
    }
    return null;
  }

  #debug(attached: Attached): void {
    attached.isDebugged = true;
    this.#send(attached, 'Debugger.enable', {});
    for (const trap of this.#traps.values()) this.#arm(attached, trap);
  }

  #arm(attached: Attached, { place }: Trap): void {
    this.#send(attached, 'Debugger.setBreakpointByUrl', {
      urlRegex: `${place.file.replaceAll('.', '[.]')}$`,
      lineNumber: place.line - 1,
    });
  }

  #caught(attached: Attached, { hitBreakpoints = [] }: Paused): void {
    const trap = [...this.#traps.values()].find(
      ({ left, place }) => left > 0 && hitBreakpoints.some(hit => isAt(hit, place)),
    );
    if (trap === undefined) {
      this.#send(attached, 'Debugger.resume', {});
      return;
    }
    trap.left--;
    trap.sprung++;
    const { action } = trap;
    if (action.kind === 'kill-process') process.kill(process.pid, 'SIGKILL');
    else if (action.kind === 'stall')
      setTimeout(() => this.#send(attached, 'Debugger.resume', {}), action.ms);
    else {
      if (action.kind === 'terminate') void this.#workers.get(attached.threadId)?.terminate();
      else this.#send(attached, 'Runtime.evaluate', { expression: 'process.exit(7)' });
      // A thread that the debugger holds cannot end: it does so as soon as it is let go, before the line.
      this.#send(attached, 'Debugger.resume', {});
    }
  }

  #send({ sessionId }: Attached, method: string, params: object): void {
    const message = JSON.stringify({ id: ++this.#messageCount, method, params });
    this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
  }
}

/** V8 names a breakpoint `kind:line:column:pattern`. */
function isAt(hit: string, { file, line }: Place): boolean {
  const [, zeroBased, , ...pattern] = hit.split(':');
  return Number(zeroBased) === line - 1 && pattern.join(':') === `${file.replaceAll('.', '[.]')}$`;
}

function kindOf(title: string): ThreadKind {
  if (title.includes('sortition-loader')) return 'loader';
  if (title.includes('watchdog')) return 'watchdog';
  return /\bhttp-\d/.test(title) ? 'http' : 'selection';
}

function answer(inside: Inside, question: InsideQuestion): void {
  const { number } = question;
  let message: FromInside;
  try {
    message = { number, value: inside.answer(question) };
  } catch (error) {
    message = { number, problem: (error as Error).stack ?? String(error) };
  }
  process.send?.(message, undefined, undefined, () => undefined);
}

if (isMainThread && process.send !== undefined) {
  const inside = new Inside();
  process.on('message', (question: InsideQuestion) => answer(inside, question));
  // Being asked is no reason to go on living.
  process.channel?.unref();
}
