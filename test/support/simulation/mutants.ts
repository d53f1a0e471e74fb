/**
 * Changes to the fleet's machines each of which breaks a promise: simulations must find them. `faults` are
 * those that bring it out, within `count` seeds; absent: any.
 */
import type { Edit } from './fleet-modules.ts';

export interface Mutant {
  readonly edits: readonly Edit[];
  readonly faults?: readonly string[];
  readonly count: number;
}

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'takes changes to another content than it has': {
    edits: [
      { file: 'follower.ts', from: 'if (held !== record.from) return this.#mismatch();', to: '' },
      {
        file: 'follower.ts',
        from: 'if (held?.digest !== record.from || this.#state.isReplacing) return this.#mismatch();',
        to: 'if (held === undefined) return;',
      },
    ],
    count: 60,
  },
  'reads records again that it has read': {
    edits: [
      {
        file: 'follower.ts',
        from: 'if (comparePositions(position, cursor) <= 0) return this.#drop(position, cursor);',
        to: '',
      },
    ],
    faults: ['old records come again'],
    count: 60,
  },
  'takes a snapshot from before its place': {
    edits: [
      {
        file: 'snapshot-fetcher.ts',
        from: `if (place !== undefined && comparePositions(record.asOf, place) < 0) return 'behind';`,
        to: '',
      },
    ],
    count: 300,
  },
  'takes a snapshot that is older than what it started with': {
    edits: [
      { file: 'replica-state.ts', from: 'this.ownReadAtMs = context.store.held()?.readAtMs;', to: '' },
      { file: 'snapshot-fetcher.ts', from: 'nowMs + readFirstMs +', to: 'nowMs +' },
    ],
    faults: ['processes are killed'],
    count: 200,
  },
  'goes on writing without its lock': {
    edits: [
      {
        file: 'log-writer.ts',
        from: `if (!this.term.stillHeld() || this.term.lost.aborted) throw new TermOver('lease-lost');`,
        to: '',
      },
    ],
    faults: ['a process stands still', 'the leader is cut off from the database'],
    count: 100,
  },
  'counts ages from when a record came': {
    edits: [
      {
        file: 'leader-clock.ts',
        from: 'stamp.sentAtMs - agoMs + this.#lowMs(offset, now.nowMs)',
        to: 'now.nowMs',
      },
    ],
    count: 60,
  },
  'forgets revocations with a log that is lost': {
    edits: [
      {
        file: 'follower.ts',
        from: 'if (isOther) this.#state.tellRevocations();',
        to: '',
      },
      {
        file: 'follower.ts',
        from: 'if (this.#gapCount > 0) this.#state.tellRevocations();',
        to: '',
      },
      {
        file: 'follower.ts',
        from: 'this.#state.toldEpoch = epoch;\n    this.#state.tellRevocations();',
        to: 'this.#state.toldEpoch = epoch;',
      },
      { file: 'snapshot-publisher.ts', from: 'await this.#writeRevocations(signal);', to: '' },
    ],
    count: 300,
  },
  'never hears that a revocation is over whose end it has missed': {
    edits: [
      {
        file: 'follower.ts',
        from: 'if (out !== undefined && isNews && record.isListWhole) this.#listed(out);',
        to: '',
      },
    ],
    count: 600,
  },
  'ends what the leader is yet to hear of': {
    edits: [
      { file: 'follower.ts', from: '!out.has(idText(id)) && !asks.has(id)', to: '!out.has(idText(id))' },
    ],
    count: 600,
  },
  'takes a revocation for said that was ended since': {
    edits: [
      {
        file: 'ask-queue.ts',
        from: `this.#written.delete(text);
      if (holdMs > 0)`,
        to: 'if (holdMs > 0)',
      },
    ],
    count: 300,
  },
  'asks again for what the log has said': {
    edits: [
      { file: 'replica-state.ts', from: 'if (this.asks.answered(answers)) this.beatBell.ring();', to: '' },
    ],
    count: 300,
  },
  'lets in what was revoked here since': {
    edits: [
      {
        file: 'replica-state.ts',
        from: 'revocations.map(revocation => this.asks.asHere(revocation))',
        to: 'revocations.slice()',
      },
    ],
    count: 600,
  },
  'tells of nodes that the source has told of as if somebody had revoked them': {
    edits: [
      { file: 'follower.ts', from: 'if (outSinceMs === undefined) this', to: 'if (outSinceMs !== 0) this' },
    ],
    count: 60,
  },
  'lets nodes back in with changes that were read before': {
    edits: [
      {
        file: 'replica-state.ts',
        from: 'out.epoch === epoch && out.sinceMs < askedAtMs',
        to: 'askedAtMs > 0',
      },
    ],
    faults: ['the bus is slow'],
    count: 150,
  },
  'loads without a permit': {
    edits: [
      {
        file: 'self-loader.ts',
        from: 'return await permits.acquire(signal);',
        to: 'return async () => undefined;',
      },
    ],
    count: 60,
  },
  'waits for a permit for ever': {
    edits: [
      {
        file: 'self-loader.ts',
        from: 'store.held() === undefined && clock.nowMs() >= this.#unpermittedAtMs',
        to: 'false',
      },
    ],
    faults: ['bus and election are away at the start'],
    count: 150,
  },
  'stands for election among strangers': {
    edits: [
      {
        file: 'member.ts',
        from: 'return nowMs - strangers.atMs < silences * silenceMs;',
        to: 'return false;',
      },
      { file: 'member.ts', from: 'if (await this.#isStranger(signal)) continue;', to: '' },
    ],
    faults: ['somebody has another key', 'a process is killed'],
    count: 100,
  },
  'leads where nobody reads it': {
    edits: [{ file: 'leader.ts', from: 'areMostStrange ? this.#strangeReadings + 1 : 0', to: '0' }],
    faults: ['somebody with another key leads'],
    count: 20,
  },
  'never stands again where keys were changed': {
    edits: [
      {
        file: 'member.ts',
        from: 'return nowMs - strangers.atMs < silences * silenceMs;',
        to: 'return true;',
      },
    ],
    faults: ['all are given another key'],
    count: 20,
  },
};
