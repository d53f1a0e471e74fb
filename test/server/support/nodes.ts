/** A small population as a CSV file in a directory of its own: 400 networks, two pools, IPv6 among them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestNode {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  readonly vetted: boolean;
}

export const NODE_COUNT = 500;

const NETWORK_COUNT = 400;

/** Node `i` has an id that says which one it is. The first hundred networks hold two nodes each. */
export function testNodes(count: number = NODE_COUNT): TestNode[] {
  return Array.from({ length: count }, (_, i) => {
    const network = i % NETWORK_COUNT;
    const host = 10 + Math.floor(i / NETWORK_COUNT);
    const ip =
      i % 10 === 9
        ? `2a01:4f8:${(network + 1).toString(16)}::${host}`
        : `5.${network >> 8}.${network & 255}.${host}`;
    return { id: (i + 1).toString(16).padStart(8, '0').repeat(8), ip, port: 1_025 + i, vetted: i % 5 !== 0 };
  });
}

/** Ids of vetted nodes that are alone in their networks: a selection of all that can be picked has them. */
export function loneVettedIds(): string[] {
  const nodes = testNodes();
  const shared = nodes.length - NETWORK_COUNT;
  return nodes
    .slice(shared, NETWORK_COUNT)
    .filter(({ vetted }) => vetted)
    .map(({ id }) => id);
}

export function nodesCsv(nodes: readonly TestNode[]): string {
  const lines = nodes.map(node => `${node.id},${node.ip},${node.port},${node.vetted ? 1 : 0},DE`);
  return `id,ip,port,vetted,country\n${lines.join('\n')}\n`;
}

export interface TemporaryFolder {
  readonly path: string;
  file(name: string, content: string): Promise<string>;
  remove(): Promise<void>;
}

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'sortition-server-'));
  return {
    path,
    file: async (name, content) => {
      const file = join(path, name);
      await writeFile(file, content);
      return file;
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
}
