/** Says why a selection came out short. Off the hot path: only short answers pay for it. */

import type { Snapshot } from '../snapshot/snapshot.ts';
import { DISTINCT_NONE, type Draw, type Selector } from './selection.ts';
import type { Shortage } from './selection-types.ts';

export function shortageOf(snapshot: Snapshot, draw: Draw, selector: Selector): Shortage {
  const set = snapshot.sets[draw.set]!;
  const byNode = draw.distinct === DISTINCT_NONE;
  const found = selector.pickCount;
  const numbers = {
    requested: draw.count,
    found,
    vettedWanted: selector.vettedWanted,
    vettedFound: found - selector.newPicked,
    newWanted: selector.newWanted,
    newFound: selector.newPicked,
    vettedNodes: set.vettedPositions,
    vettedGroups: byNode ? set.vettedPositions : set.vettedGroups,
    newNodes: set.newPositions,
    newGroups: byNode ? set.newPositions : set.newGroups,
    excludedKnown: draw.excludedCount,
    heldKnown: draw.heldCount,
  };
  return { ...numbers, reason: reasonOf(numbers, draw.fillWithNew) };
}

function reasonOf(numbers: Omit<Shortage, 'reason'>, fillWithNew: boolean): string {
  const { requested, found, vettedNodes, vettedGroups, newNodes, newGroups, excludedKnown, heldKnown } =
    numbers;
  const vetted = `${vettedNodes} vetted candidates in ${vettedGroups} groups`;
  const pools = `${vetted} and ${newNodes} new ones in ${newGroups}`;
  const kept = excludedKnown + heldKnown > 0 ? `, with ${excludedKnown} excluded and ${heldKnown} held` : '';
  const fill =
    fillWithNew || newNodes === 0
      ? ''
      : '; new nodes do not fill up for vetted ones unless fillWithNew is set';
  return `${found} of ${requested} found: the placement has ${pools}${kept}${fill}`;
}
