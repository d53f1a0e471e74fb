/** Did-you-mean: the candidate nearest to a misspelt word. Pure; any thread. */

/** A candidate further away than this share of the word's length is no suggestion. */
const DISTANCE_SHARE_MAX = 0.4;
/** A part no longer than this is found in any word by chance: it has to stand between underscores. */
const PART_CHARS_MIN = 2;

/** The candidate with the smallest edit distance, or undefined when none is near enough to be meant. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length * DISTANCE_SHARE_MAX)) + 1;
  for (const candidate of candidates) {
    const distance = nameDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean "x"?)`, or nothing: to be put behind the misspelt word. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const suggestion = nearest(word, candidates);
  return suggestion === undefined ? '' : ` (did you mean "${suggestion}"?)`;
}

/**
 * Part of a longer name (`free_disk` of `free_disk_bytes`, `id` of `node_id`): near, whatever was added to
 * it.
 */
function nameDistance(a: string, b: string): number {
  if (a === b) return 0;
  const [part, whole] = a.length < b.length ? [a, b] : [b, a];
  const contained = part.length > PART_CHARS_MIN ? whole.includes(part) : whole.split('_').includes(part);
  return contained ? 1 : editDistance(a, b);
}

/**
 * Edits that make `b` of `a`: a letter more, less or other, or two neighbours exchanged (optimal string
 * alignment). Three rows of the table at a time.
 */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1, exchanged ? before[j - 2]! + 1 : replaced));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
