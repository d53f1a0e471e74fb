/**
 * From options and what the database has: the plan of a read, or every column that is missing or of a wrong
 * type.
 */
import { CacheError } from '../../../engine/errors.ts';
import { didYouMean, nearest } from '../nearest.ts';
import {
  failConditions,
  firstFailed,
  isSet,
  READ_CLOCK,
  type SqlColumn,
  type SqlColumns,
} from '../sql/criteria.ts';
import { NO_TEXT, quoteIdentifier } from '../sql/introspect.ts';
import { type ReadPlan, rowColumns } from '../sql/nodes.ts';
import {
  ABSENT_CRITERIA,
  COLUMN_ROLE_NAMES,
  COLUMN_ROLES,
  type ColumnRole,
  type ColumnRoleSpec,
  INELIGIBLE_CRITERIA,
} from './columns.ts';
import type { ResolvedPostgres } from './options.ts';
import { describeTypes, type Relation, type RelationColumn } from './relation.ts';

/** A column that keeps the source from being read. */
export interface ColumnProblem {
  readonly kind: 'missing' | 'type' | 'denied' | 'attribute';
  readonly field: string;
  readonly detail: string;
  readonly hint: string;
}

export interface PlanResult {
  readonly plan: ReadPlan;
  readonly problems: readonly ColumnProblem[];
}

/** How the expressions of a plan name the row that they judge, and the time as of which they do. */
export interface RowForm {
  readonly alias: string;
  readonly clock: string;
}

const READ_FORM: RowForm = { alias: 'n', clock: READ_CLOCK };
/**
 * A node whose last contact is older than this part of the online window is `nearly offline`. A check-in
 * that ends this is a change of the node; one before it changes nothing that a selection sees.
 */
const NEARLY_OFFLINE_RATIO = 3 / 4;
/** Problems that a message lists; the rest is counted. */
const PROBLEMS_SHOWN_MAX = 5;

export function throwProblems(problems: readonly ColumnProblem[]): void {
  const first = problems[0];
  if (first === undefined) return;
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX).map(problem => `${problem.detail}; ${problem.hint}`);
  const more = problems.length - shown.length;
  if (more > 0) shown.push(`and ${more} more`);
  const code = first.kind === 'denied' ? 'SOURCE_DENIED' : 'SOURCE_SCHEMA';
  throw new CacheError(code, shown.join('. '), { field: first.field });
}

export function planTable(
  options: ResolvedPostgres,
  relation: Relation,
  attributes: readonly string[],
  form: RowForm = READ_FORM,
): PlanResult {
  const problems: ColumnProblem[] = [];
  const columns = new Map<ColumnRole, SqlColumn>();
  for (const role of COLUMN_ROLE_NAMES) {
    const name = neededColumn(options, role);
    if (name === null) continue;
    const found = relation.columns.get(name);
    const problem = examine(options, relation, role, name, found);
    if (problem !== undefined) problems.push(problem);
    else if (found !== undefined) columns.set(role, sqlColumn(found, form.alias));
  }
  const read = planAttributes(options, relation, attributes, form);
  problems.push(...read.problems);
  const conditions = failConditions(columns, options.thresholds, form.clock);
  const vetted = vettedExpression(columns.get('vetted'));
  const ineligible = firstFailed(conditions, INELIGIBLE_CRITERIA);
  const { id, address, ip, port, network, lastContact } = Object.fromEntries(columns) as Partial<
    Record<ColumnRole, SqlColumn>
  >;
  const plan = {
    relation: `${relation.sql} AS n`,
    ...rowColumns({
      ...{ id, address, ip, port, network, vetted, ineligible, lastContact },
      attributes: read.expressions,
    }),
    vetted,
    absent: firstFailed(conditions, ABSENT_CRITERIA),
    ineligible,
    nearlyOffline: nearlyOffline(options, columns, form.clock),
  };
  return { plan, problems };
}

function nearlyOffline(options: ResolvedPostgres, columns: SqlColumns, clock: string): string {
  const onlineWindowMs = Math.floor(options.thresholds.onlineWindowMs * NEARLY_OFFLINE_RATIO);
  return failConditions(columns, { ...options.thresholds, onlineWindowMs }, clock).get('offline') ?? 'false';
}

/** Without such a column every node is vetted. */
export function vettedExpression(column: SqlColumn | undefined): string {
  return column === undefined ? 'true' : `(${isSet(column)})`;
}

export function sqlColumn(column: RelationColumn, alias: string = READ_FORM.alias): SqlColumn {
  return { sql: `${alias}.${quoteIdentifier(column.name)}`, kind: column.kind };
}

/** The column that a role reads, or null when nothing that is configured needs the role. */
function neededColumn(options: ResolvedPostgres, role: ColumnRole): string | null {
  const { columns, thresholds } = options;
  if (role === 'release' && !thresholds.releaseOnly) return null;
  if (role.startsWith('version')) {
    if (thresholds.minimumVersion === undefined) return null;
    if (role !== 'version' && columns.version !== null) return null;
  }
  // No row needs it. Where it was named, that it is missing is said all the same.
  if (role === 'updatedAt' && !options.mappedRoles.includes(role)) return null;
  return columns[role];
}

function examine(
  options: ResolvedPostgres,
  relation: Relation,
  role: ColumnRole,
  name: string,
  found: RelationColumn | undefined,
): ColumnProblem | undefined {
  const spec: ColumnRoleSpec = COLUMN_ROLES[role];
  const field = `columns.${role}`;
  const hint = remedy(role, spec);
  if (found === undefined) {
    if (spec.optional === true && !options.mappedRoles.includes(role)) return undefined;
    const near = nearest(name, relation.columns.keys());
    const suggestion = near === undefined ? '' : ` (nearest: "${near}")`;
    const detail = `${relation.title} has no column "${name}"${suggestion}`;
    return { kind: 'missing', field, detail, hint };
  }
  if (!spec.accepts.includes(found.kind)) {
    const accepted = describeTypes(spec.accepts);
    const detail = `column "${name}" of ${relation.title} has type ${found.typeShown}; accepted: ${accepted}`;
    return { kind: 'type', field, detail, hint };
  }
  if (found.readable) return undefined;
  const detail = `column "${name}" of ${relation.title} may not be read`;
  return { kind: 'denied', field, detail, hint: `grant SELECT on it, or ${hint}` };
}

function remedy(role: ColumnRole, spec: ColumnRoleSpec): string {
  const map = `map another column with columns.${role}`;
  if (role === 'address') return `${map}, or map columns.ip and columns.port`;
  if (spec.criterion !== undefined) {
    return `${map}, or switch the criterion "${spec.criterion}" off with columns.${role}: null`;
  }
  return spec.optional === true ? `${map}, or do without it with columns.${role}: null` : map;
}

/** Attribute → expression: the entry in `attributes`, the country column, or the column of the same name. */
function planAttributes(
  options: ResolvedPostgres,
  relation: Relation,
  attributes: readonly string[],
  form: RowForm,
): { expressions: string[]; problems: ColumnProblem[] } {
  const problems: ColumnProblem[] = [];
  const expressions = attributes.map(attribute => {
    const mapped = Object.hasOwn(options.attributes, attribute) ? options.attributes[attribute]! : undefined;
    const name = mapped ?? (attribute === 'country' ? options.columns.country : attribute);
    const found = name === null ? undefined : relation.columns.get(name);
    if (found?.readable === true) return `${sqlColumn(found, form.alias).sql}::text`;
    problems.push(attributeProblem(relation, attribute, name, mapped === undefined));
    return NO_TEXT;
  });
  return { expressions, problems };
}

/** A placement that uses an attribute which no node has would find nothing, without a word. */
export function attributeProblem(
  relation: Relation,
  attribute: string,
  name: string | null,
  unmapped: boolean,
): ColumnProblem {
  const denied = name !== null && relation.columns.has(name);
  const column = name === null ? 'columns.country is switched off' : `column "${name}" of ${relation.title}`;
  const why = name === null ? '' : denied ? ' may not be read' : ' does not exist';
  const near = name === null || denied ? '' : didYouMean(name, relation.columns.keys());
  const remedy = unmapped
    ? `name its column in attributes.${attribute}, or correct the placements`
    : `correct attributes.${attribute}`;
  return {
    kind: denied ? 'denied' : 'attribute',
    field: `attributes.${attribute}`,
    detail: `no column holds the attribute "${attribute}" of the placements: ${column}${why}${near}`,
    hint: remedy,
  };
}
