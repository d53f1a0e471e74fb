/** The plan of a replaced query: its columns are known by name. */
import { didYouMean } from '../nearest.ts';
import { NOT_ELIGIBLE } from '../row-values.ts';
import { NO_TEXT, quoteText } from '../sql/introspect.ts';
import { type ReadPlan, rowColumns } from '../sql/nodes.ts';
import type { TypeKind } from './columns.ts';
import { type ColumnProblem, type PlanResult, sqlColumn, vettedExpression } from './plan.ts';
import { describeTypes, type Relation } from './relation.ts';

interface QueryColumn {
  readonly accepts: readonly TypeKind[];
  readonly required?: boolean;
}

const QUERY_COLUMNS: Readonly<Record<string, QueryColumn>> = {
  id: { accepts: ['bytea', 'text'], required: true },
  ip: { accepts: ['inet', 'text'], required: true },
  port: { accepts: ['integer'], required: true },
  network: { accepts: ['text', 'inet'] },
  vetted: { accepts: ['boolean', 'timestamp'] },
  ineligible: { accepts: ['text'] },
  eligible: { accepts: ['boolean'] },
};

export function planQuery(relation: Relation, attributes: readonly string[]): PlanResult {
  const column = (name: string) => {
    const found = relation.columns.get(name);
    return found === undefined ? undefined : sqlColumn(found);
  };
  const vetted = vettedExpression(column('vetted'));
  const reason = ineligible(column('ineligible')?.sql, column('eligible')?.sql);
  const plan: ReadPlan = {
    relation: relation.sql,
    ...rowColumns({
      id: column('id'),
      address: undefined,
      ip: column('ip'),
      port: column('port'),
      network: column('network'),
      vetted,
      ineligible: reason,
      lastContact: undefined,
      attributes: attributes.map(name => {
        const found = column(name);
        return found === undefined ? NO_TEXT : `${found.sql}::text`;
      }),
    }),
    vetted,
    absent: NO_TEXT,
    ineligible: reason,
    nearlyOffline: 'false',
  };
  const unknown = attributes.filter(name => !relation.columns.has(name));
  return {
    plan,
    problems: [...columnProblems(relation), ...unknown.map(name => unknownAttribute(relation, name))],
  };
}

/** A named reason stands before a bare `eligible: false`; an empty one is none. */
function ineligible(reason: string | undefined, eligible: string | undefined): string {
  const parts: string[] = [];
  if (reason !== undefined) parts.push(`NULLIF(${reason}, '')`);
  if (eligible !== undefined)
    parts.push(`CASE WHEN ${eligible} IS NOT TRUE THEN ${quoteText(NOT_ELIGIBLE)} END`);
  return parts.length === 0 ? NO_TEXT : `COALESCE(${parts.join(', ')})`;
}

function unknownAttribute(relation: Relation, name: string): ColumnProblem {
  const near = didYouMean(name, relation.columns.keys());
  const detail = `the query yields no column for the attribute "${name}" of the placements${near}`;
  return { kind: 'attribute', field: 'query', detail, hint: `name one of its columns AS "${name}"` };
}

function columnProblems(relation: Relation): ColumnProblem[] {
  const problems: ColumnProblem[] = [];
  for (const [name, { accepts, required }] of Object.entries(QUERY_COLUMNS)) {
    const found = relation.columns.get(name);
    if (found === undefined) {
      if (required !== true) continue;
      const detail = `the query yields no column "${name}"${didYouMean(name, relation.columns.keys())}`;
      problems.push({ kind: 'missing', field: 'query', detail, hint: `name one of its columns AS ${name}` });
    } else if (!accepts.includes(found.kind)) {
      const detail = `column "${name}" of the query has type ${found.typeShown}`;
      problems.push({ kind: 'type', field: 'query', detail, hint: `cast it to ${describeTypes(accepts)}` });
    }
  }
  return problems;
}
