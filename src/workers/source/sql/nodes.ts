/** The statements that read and count nodes, over a plan: the SQL expression for each thing a row needs. */

/** SQL expressions over `relation`, whose alias is `n`. `NULL` where the source has none. */
export interface ReadPlan {
  readonly relation: string;
  readonly id: string;
  readonly ip: string;
  readonly port: string;
  /** `host:port` in place of `ip` and `port`. */
  readonly address: string;
  readonly network: string;
  /** Boolean. */
  readonly vetted: string;
  /** Name of the criterion that leaves the node out altogether, or NULL. */
  readonly absent: string;
  /** Name of the first criterion that keeps the node out of selections, or NULL. */
  readonly ineligible: string;
  readonly attributes: readonly string[];
}

/** Position of each cell of a row; the attributes follow. */
export const CELL = {
  id: 0,
  ip: 1,
  port: 2,
  address: 3,
  network: 4,
  vetted: 5,
  ineligible: 6,
  attributes: 7,
} as const;

export function selectNodes(plan: ReadPlan): string {
  const { id, ip, port, address, network, vetted, ineligible, attributes } = plan;
  const cells = [id, ip, port, address, network, vetted, ineligible, ...attributes];
  return `SELECT ${cells.join(', ')} FROM ${plan.relation}${present(plan)}`;
}

/** Cells: criterion, count. */
export function countAbsent(plan: ReadPlan): string {
  return `SELECT criterion, count(*) FROM (SELECT ${plan.absent} AS criterion FROM ${plan.relation}) AS judged
           WHERE criterion IS NOT NULL GROUP BY criterion`;
}

/** Cells: absent criterion, ineligible criterion, vetted, count. */
export function countCriteria(plan: ReadPlan): string {
  return `SELECT absent, ineligible, vetted, count(*)
            FROM (SELECT ${plan.absent} AS absent, ${plan.ineligible} AS ineligible, ${plan.vetted} AS vetted
                    FROM ${plan.relation}) AS judged
           GROUP BY absent, ineligible, vetted`;
}

/** A source without absent criteria has nothing to filter. */
function present(plan: ReadPlan): string {
  return plan.absent === NO_TEXT ? '' : ` WHERE ${plan.absent} IS NULL`;
}

export const NO_TEXT = 'NULL::text';
