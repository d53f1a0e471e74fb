/** Says why a selection came out short. Off the hot path: only short answers pay for it. */

import { DISTINCT_NONE } from '../../../native-layout/kernel-memory.ts';
import type { Outcome } from '../kernel/kernel.ts';
import { revokedCount } from '../live-column.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { Draw } from './selection.ts';
import type { Shortage } from './selection-types.ts';

export function shortageOf(snapshot: Snapshot, draw: Draw, outcome: Outcome): Shortage {
  const set = snapshot.sets[draw.set]!;
  const byNode = draw.distinct === DISTINCT_NONE;
  const { found, newFound } = outcome;
  const numbers = {
    requested: draw.count,
    found,
    vettedWanted: outcome.vettedWanted,
    vettedFound: found - newFound,
    newWanted: outcome.newWanted,
    newFound,
    vettedNodes: set.vettedPositions,
    vettedGroups: byNode ? set.vettedPositions : set.vettedGroups,
    newNodes: set.newPositions,
    newGroups: byNode ? set.newPositions : set.newGroups,
    excludedKnown: outcome.excludedKnown,
    heldKnown: outcome.heldKnown,
    revoked: revokedCount(snapshot.views),
  };
  return { ...numbers, reason: reasonOf(numbers, draw.fillWithNew) };
}

function reasonOf(numbers: Omit<Shortage, 'reason'>, fillWithNew: boolean): string {
  const { requested, found, vettedNodes, vettedGroups, newNodes, newGroups } = numbers;
  const { excludedKnown, heldKnown, revoked } = numbers;
  const vetted = `${vettedNodes} vetted candidates in ${vettedGroups} groups`;
  const pools = `${vetted} and ${newNodes} new ones in ${newGroups}`;
  const kept = excludedKnown + heldKnown > 0 ? `, with ${excludedKnown} excluded and ${heldKnown} held` : '';
  const out = revoked > 0 ? `, and ${revoked} revoked nodes are among them` : '';
  const fill =
    fillWithNew || newNodes === 0
      ? ''
      : '; new nodes do not fill up for vetted ones unless fillWithNew is set';
  return `${found} of ${requested} found: the placement has ${pools}${kept}${out}${fill}`;
}
