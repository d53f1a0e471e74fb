/**
 * The peers of `bench:peers`, on a real Postgres and a real Redis, answer the question that ours answers, and
 * know of a change when they say so: else a comparison would be worthless.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerNodes } from '../../bench/peers/nodes.ts';
import { type OpenPeers, openPeers } from '../../bench/peers/open-peers.ts';
import {
  COUNT,
  checkAnswer,
  type Design,
  PEER_KEYS,
  type PeerNode,
  type PickedNode,
} from '../../bench/peers/peer.ts';

const ANSWERS = 10;
const IN_FLIGHT = 4;

let nodes: Map<string, PeerNode>;
let peers: OpenPeers;
beforeAll(async () => {
  nodes = peerNodes(3_000, Date.now());
  peers = await openPeers(nodes, IN_FLIGHT);
});
afterAll(() => peers?.close());

async function answersOf(design: Design, answers: number): Promise<PickedNode[][]> {
  const all: PickedNode[][] = [];
  for (let i = 0; i < answers; i++) all.push([...(await design.answer())]);
  return all;
}

describe('peers', () => {
  it('are of all kinds, under names of their own', () => {
    expect(new Set(peers.designs.map(design => design.peer))).toEqual(new Set(PEER_KEYS));
    expect(new Set(peers.designs.map(design => design.name)).size).toBe(peers.designs.length);
  });

  it('pick 110 eligible nodes, 5 of them new, of distinct networks, and others each time', async () => {
    for (const design of peers.designs) {
      const answers = await answersOf(design, ANSWERS);
      for (const answer of answers) checkAnswer(answer, nodes);
      const ids = new Set(answers.flat().map(node => node.id));
      expect(ids.size, design.name).toBeGreaterThan(4 * COUNT);
    }
  });

  it('answer several times at once', async () => {
    for (const design of peers.designs) {
      const answers = await Promise.all(Array.from({ length: IN_FLIGHT }, () => design.answer()));
      for (const answer of answers) checkAnswer(answer, nodes);
    }
  });

  it('say what they hold, and which processes they ask', async () => {
    for (const design of peers.designs) {
      expect(await design.memoryBytes(), design.name).toBeGreaterThan(0);
      expect(design.processes.length > 0, design.name).toBe(!['objects', 'embedded'].includes(design.peer));
    }
  });

  it('never pick again what has gone, once they are brought up to date', async () => {
    // Twice, and from the same networks: a writer must not bring the first ones back with the second.
    for (const turn of [0, 1]) {
      const gone = [...nodes.values()].filter((node, i) => node.eligible && i % 10 === turn);
      await peers.disqualify(gone);
      for (const node of gone) nodes.set(node.id, { ...node, eligible: false });
      for (const design of peers.designs) {
        await design.update(gone);
        for (const answer of await answersOf(design, ANSWERS)) checkAnswer(answer, nodes);
      }
    }
  });
});

describe('the check of an answer', () => {
  const answerOf = async () => [...(await peers.designs[0]!.answer())];

  it.each<[string, (answer: PickedNode[]) => void]>([
    ['109 nodes', answer => answer.pop()],
    ['109 networks', answer => answer.splice(108, 1, answer[109]!)],
    ['no node has the id', answer => answer.splice(0, 1, { ...answer[0]!, id: '00' })],
    ['is not at', answer => answer.splice(0, 1, { ...answer[0]!, port: 1 })],
    [
      'is not eligible',
      answer => {
        const pool = answer[0]!.pool;
        const bad = [...nodes.values()].find(node => !node.eligible && node.pool === pool)!;
        answer.splice(0, 1, bad);
      },
    ],
  ])('refuses one with %s', async (message, spoil) => {
    const answer = await answerOf();
    spoil(answer);
    expect(() => checkAnswer(answer, nodes)).toThrow(new RegExp(message));
  });
});
