/**
 * JSON Schema as our OpenAPI document uses it: whether a value fits, values that fit, and values that do not.
 * Written apart from the validator of the server, and by the document alone.
 */
import type { FuzzRandom } from './random.ts';

export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly description?: string;
}

const KNOWN = new Set([
  'type',
  'properties',
  'required',
  'additionalProperties',
  'patternProperties',
  'items',
  'minItems',
  'maxItems',
  'minimum',
  'maximum',
  'pattern',
  'enum',
  'const',
  'anyOf',
  'allOf',
  'description',
  'examples',
  'example',
  'default',
  'title',
]);

/** Schemas of which every keyword is known. */
const seen = new WeakSet<Schema>();

function refuseUnknownKeywords(schema: Schema): void {
  for (const keyword of Object.keys(schema)) {
    if (!KNOWN.has(keyword))
      throw new Error(`the document uses "${keyword}", which this check does not know`);
  }
}

/** Where `value` does not fit, and why; undefined when it fits. Throws for a keyword that is not known. */
export function misfit(schema: Schema, value: unknown, path = '$'): string | undefined {
  if (!seen.has(schema)) {
    refuseUnknownKeywords(schema);
    seen.add(schema);
  }
  if (schema.anyOf?.every(each => misfit(each, value, path) !== undefined)) {
    return `${path}: none of ${schema.anyOf.length} schemas fits: ${misfit(schema.anyOf[0]!, value, path)}`;
  }
  for (const each of schema.allOf ?? []) {
    const problem = misfit(each, value, path);
    if (problem !== undefined) return problem;
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) return `${path}: is none of the values`;
  if (schema.const !== undefined && schema.const !== value) return `${path}: is not ${String(schema.const)}`;
  if (schema.type !== undefined && !isOfType(schema.type, value)) return `${path}: is no ${schema.type}`;
  if (typeof value === 'number') return misfitNumber(schema, value, path);
  if (typeof value === 'string') {
    const fits = schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(value);
    return fits ? undefined : `${path}: does not match`;
  }
  if (Array.isArray(value)) return misfitItems(schema, value, path);
  return typeof value === 'object' && value !== null
    ? misfitMembers(schema, value as Record<string, unknown>, path)
    : undefined;
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'null':
      return value === null;
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}

function misfitNumber({ minimum, maximum }: Schema, value: number, path: string): string | undefined {
  if (minimum !== undefined && value < minimum) return `${path}: is below ${minimum}`;
  return maximum !== undefined && value > maximum ? `${path}: is above ${maximum}` : undefined;
}

function misfitItems({ items, minItems = 0, maxItems }: Schema, value: readonly unknown[], path: string) {
  if (value.length < minItems) return `${path}: has too few`;
  if (maxItems !== undefined && value.length > maxItems) return `${path}: has too many`;
  if (items === undefined) return undefined;
  for (const [i, each] of value.entries()) {
    const problem = misfit(items, each, `${path}[${i}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function misfitMembers(schema: Schema, value: Record<string, unknown>, path: string): string | undefined {
  const { properties = {}, required = [], additionalProperties, patternProperties = {} } = schema;
  for (const name of required) if (!Object.hasOwn(value, name)) return `${path}: ${name} is missing`;
  for (const [name, member] of Object.entries(value)) {
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const byPattern = Object.entries(patternProperties).find(([pattern]) =>
      new RegExp(pattern).test(name),
    )?.[1];
    const other = typeof additionalProperties === 'object' ? additionalProperties : undefined;
    const of = own ?? byPattern ?? other;
    if (of === undefined && additionalProperties === false) return `${path}: ${name} is too much`;
    const problem = of === undefined ? undefined : misfit(of, member, `${path}.${name}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Names that the document leaves to the configuration. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  placement: ['default'],
  distinct: ['network', 'none'],
};
const ITEMS_MAX = 4;

/** A value that fits; `ids`: some that exist. */
export function fitting(schema: Schema, random: FuzzRandom, ids: readonly string[], name = ''): unknown {
  if (schema.enum !== undefined) return random.pick(schema.enum);
  switch (schema.type) {
    case 'integer':
      return fittingInteger(schema, random);
    case 'number':
      return random.chance(0.3) ? random.pick([schema.minimum ?? 0, schema.maximum ?? 1]) : random.ratio();
    case 'boolean':
      return random.chance(0.5);
    case 'string':
      return fittingText(schema, random, ids, name);
    case 'array': {
      const most = Math.min(ITEMS_MAX, schema.maxItems ?? ITEMS_MAX);
      const length = (schema.minItems ?? 0) + random.below(most - (schema.minItems ?? 0) + 1);
      return Array.from({ length }, () => fitting(schema.items!, random, ids));
    }
    case 'object': {
      const required = schema.required ?? [];
      const entries = Object.entries(schema.properties ?? {})
        .filter(([member]) => required.includes(member) || random.chance(0.4))
        .map(([member, each]) => [member, fitting(each, random, ids, member)] as const);
      return Object.fromEntries(random.chance(0.3) ? entries.reverse() : entries);
    }
    default:
      throw new Error(`no value of type ${schema.type} is known for ${name}`);
  }
}

function fittingInteger({ minimum = 0, maximum = 1_000 }: Schema, random: FuzzRandom): number {
  if (random.chance(0.1)) return random.pick([minimum, maximum]);
  return minimum + random.below(Math.min(maximum, random.chance(0.95) ? 20 : maximum) - minimum + 1);
}

function fittingText({ pattern }: Schema, random: FuzzRandom, ids: readonly string[], name: string): string {
  if (pattern === '^[0-9a-fA-F]{64}$') {
    const id = random.chance(0.7) ? random.pick(ids) : random.hex(64);
    return random.chance(0.2) ? id.toUpperCase() : id;
  }
  const names = NAMES[name];
  if (names === undefined) throw new Error(`no text is known for ${name}`);
  return random.pick(names);
}

const STRANGE: readonly unknown[] = [
  null,
  true,
  '',
  'x',
  ' 5',
  '5',
  -1,
  0,
  0.5,
  1e9,
  2 ** 31,
  2 ** 32 + 1,
  2 ** 53,
  -0,
  [],
  [5],
  {},
  { $gt: 1 },
  [[]],
  '\u0000',
  '\u{1f600}',
  'f'.repeat(63),
  'g'.repeat(64),
  'f'.repeat(65),
];
const STRANGE_NAMES = ['x', 'Count', 'count ', '__proto__', 'constructor', 'toString', '', 'seed', '\u0000'];

/** One thing about `value` is changed; it may fit all the same. */
export function changed(value: unknown, random: FuzzRandom): unknown {
  if (random.chance(0.1)) return random.pick(STRANGE);
  if (Array.isArray(value) && value.length > 0) {
    const at = random.below(value.length);
    return value.map((each, i) => (i === at ? changed(each, random) : (each as unknown)));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return random.pick(STRANGE);
  const entries = Object.entries(value);
  if (entries.length === 0 || random.chance(0.3)) {
    return Object.fromEntries([...entries, [random.pick(STRANGE_NAMES), random.pick(STRANGE)]]);
  }
  const at = random.below(entries.length);
  if (random.chance(0.15)) return Object.fromEntries(entries.filter((_, i) => i !== at));
  return Object.fromEntries(
    entries.map(([name, member], i) => [name, i === at ? changed(member, random) : member]),
  );
}
