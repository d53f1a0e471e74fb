/**
 * What the loader knows of the current snapshot beside its bytes, and of the next one while it is made:
 * private memory, taken from any snapshot (`take`), and kept in step by each delta whose snapshot became
 * current (`accept`). A delta that was given up leaves nothing behind (`begin`).
 */

import { HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import { ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { NO_FILTER } from '../snapshot/attribute-codes.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { readDescription } from '../snapshot/snapshot-description.ts';
import { NetworkNumbers } from './network-numbers.ts';
import { ValueCodes } from './value-codes.ts';
import { WideNumbers } from './wide-numbers.ts';

export class BaseState {
  readonly numbers = new NetworkNumbers();
  readonly wides = new WideNumbers();
  readonly values = new ValueCodes();
  /** Of each row: its network, and the filters that let it pass where there are any. */
  networks: Uint32Array;
  passes: Uint32Array;
  /** The same of the next snapshot. */
  nextNetworks: Uint32Array;
  nextPasses: Uint32Array;
  readonly #plan: PlacementPlan;

  /** For snapshots of up to `capacity` rows; what is not touched costs nothing. */
  constructor(capacity: number, plan: PlacementPlan) {
    this.#plan = plan;
    const filtered = plan.filters.length > 1 ? capacity : 0;
    this.networks = new Uint32Array(capacity);
    this.nextNetworks = new Uint32Array(capacity);
    this.passes = new Uint32Array(filtered);
    this.nextPasses = new Uint32Array(filtered);
  }

  /** Takes a snapshot that is current. `seed`: key of hash tables. Throws SNAPSHOT_CORRUPT. */
  take(snapshot: Snapshot, seed: number): void {
    const { views, rowCount } = snapshot;
    this.values.take(readDescription(views).attributes);
    this.numbers.take(snapshot, seed);
    this.wides.takeRows(snapshot, views.header[HEADER_WORD.WIDE_ADDRESSES]!);
    const { rowWords } = views;
    for (let row = 0; row < rowCount; row++) {
      this.networks[row] = rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]!;
    }
    this.#takePasses(snapshot);
  }

  begin(current: SnapshotViews, target: SnapshotViews): void {
    this.numbers.begin(current.networkKeyWords, target.networkKeyWords);
    this.wides.begin();
    this.values.begin();
  }

  accept(): void {
    this.numbers.accept();
    this.wides.accept();
    this.values.accept();
    [this.networks, this.nextNetworks] = [this.nextNetworks, this.networks];
    [this.passes, this.nextPasses] = [this.nextPasses, this.passes];
  }

  /**
   * Every filter has a set by network, which lists the rows that pass. Ineligible ones are asked for
   * nothing.
   */
  #takePasses({ sets, rowCount }: Snapshot): void {
    const { passes } = this;
    if (passes.length === 0) return;
    passes.fill(NO_FILTER, 0, rowCount);
    this.#plan.sets.forEach(({ filter, attribute }, number) => {
      if (filter === 0 || attribute !== undefined) return;
      const { rows, vettedPositions, newPositions } = sets[number]!;
      for (let i = 0; i < vettedPositions + newPositions; i++) passes[rows[i]!]! |= 1 << filter;
    });
  }
}
