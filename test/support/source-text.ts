/**
 * Reads TypeScript source as text, for the rules of tidy.test.ts: roughly, but right about literals and
 * braces.
 */

/** Characters after which a slash begins a pattern and not a division. */
const BEFORE_PATTERN = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\breturn|\bcase|\btypeof|=>)\s*$/;

interface Span {
  readonly end: number;
  readonly kind: 'code' | 'comment' | 'literal' | 'string';
}

/** Where the thing that begins at `at` ends, if it is a comment or a literal. */
function literalAt(text: string, at: number): Span | undefined {
  const two = text.slice(at, at + 2);
  if (two === '//') return { end: endOf(text, at, '\n'), kind: 'comment' };
  if (two === '/*') return { end: text.indexOf('*/', at + 2) + 2 || text.length, kind: 'comment' };
  const quote = text[at];
  if (quote === "'" || quote === '"') return { end: closing(text, at + 1, quote), kind: 'string' };
  if (quote === '`') return { end: endOfTemplate(text, at + 1), kind: 'literal' };
  if (quote === '/' && BEFORE_PATTERN.test(text.slice(Math.max(0, at - 20), at))) {
    return { end: endOfPattern(text, at + 1), kind: 'literal' };
  }
  return undefined;
}

function endOf(text: string, from: number, mark: string): number {
  const end = text.indexOf(mark, from);
  return end < 0 ? text.length : end;
}

function closing(text: string, from: number, quote: string): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === quote || text[at] === '\n') return at + 1;
  }
  return text.length;
}

function endOfPattern(text: string, from: number): number {
  let inClass = false;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
    else if (text[at] === '\n' || (text[at] === '/' && !inClass)) return at + 1;
  }
  return text.length;
}

function endOfTemplate(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '`') return at + 1;
    else if (text.startsWith('${', at)) at = endOfInsertion(text, at + 2) - 1;
  }
  return text.length;
}

function endOfInsertion(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    const literal = literalAt(text, at);
    if (literal !== undefined) at = literal.end - 1;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at + 1;
  }
  return text.length;
}

function blanked(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}

/** The text with comments, and literals if they are not kept, as blanks: lines and columns stay. */
function blankedSource(text: string, keepStrings: boolean): string {
  let result = '';
  let at = 0;
  while (at < text.length) {
    const literal = literalAt(text, at);
    const end = literal?.end ?? at + 1;
    const piece = text.slice(at, end);
    if (literal === undefined || (keepStrings && literal.kind === 'string')) result += piece;
    else result += blanked(piece);
    at = end;
  }
  return result;
}

/** The code alone: comments, texts, templates and patterns are blanks. */
export function withoutLiterals(text: string): string {
  return blankedSource(text, false);
}

/** What the file imports, exports from, or imports when it runs. */
export function importsOf(text: string): string[] {
  const code = blankedSource(text, true);
  const bare = withoutLiterals(text);
  const specifiers: string[] = [];
  for (const match of code.matchAll(/\b(from|import)\s*\(?\s*(['"])([^'"\n]+)\2/g)) {
    // A text that only looks like an import is blank in the code without literals.
    if (bare.startsWith(match[1]!, match.index)) specifiers.push(match[3]!);
  }
  return specifiers;
}

export interface Block {
  /** What stands before the opening brace, from the end of the statement before. */
  readonly head: string;
  readonly line: number;
  readonly lines: number;
  readonly isFunction: boolean;
}

/** A class, a type, an object, or a list of tests: long ones of these are no long functions. */
const NO_FUNCTION =
  /\b(class|interface|namespace|switch)\s|\btype\s+\w+|[=:([,<|&?]\s*$|\breturn\s*$|\bdescribe\b/;
/** Nor is what belongs to a statement: the function around it is measured. */
const STATEMENT = /\b(if|for|while|else|do|try|catch|finally)\b[^=]*$/;

/** Every block in braces. */
export function blocksOf(text: string): Block[] {
  const code = withoutLiterals(text);
  const open: { at: number; head: string }[] = [];
  const blocks: Block[] = [];
  for (let at = 0; at < code.length; at++) {
    if (code[at] === '{') {
      open.push({ at, head: headOf(code, at) });
    } else if (code[at] === '}') {
      const start = open.pop();
      if (start === undefined) throw new Error('a brace closes what none has opened');
      const line = code.slice(0, start.at).split('\n').length;
      const lines = code.slice(start.at, at).split('\n').length;
      blocks.push({
        head: start.head,
        line,
        lines,
        isFunction: !NO_FUNCTION.test(start.head) && !STATEMENT.test(start.head),
      });
    }
  }
  return blocks.sort((a, b) => a.line - b.line);
}

/**
 * The statement that the brace at `at` belongs to: back to the end of the one before it, over whole braces.
 */
function headOf(code: string, at: number): string {
  let depth = 0;
  let from = at - 1;
  for (; from >= 0; from--) {
    const character = code[from]!;
    if (character === ')' || character === ']' || (character === '}' && belongsToHead(code, from))) depth++;
    else if (depth > 0 && (character === '(' || character === '[' || character === '{')) depth--;
    else if (depth === 0 && (character === ';' || character === '{' || character === '}')) break;
    else if (depth === 0 && (character === '(' || character === '[')) break;
  }
  const start =
    depth === 0 && from >= 0 && (code[from] === '(' || code[from] === '[') ? lineStart(code, from) : from + 1;
  return code.slice(start, at).replace(/\s+/g, ' ').trimStart();
}

/** A closing brace inside a signature, such as that of a type, is followed by more of it on its line. */
function belongsToHead(code: string, at: number): boolean {
  return /^\}[ \t]*(?:[>)\],=|&]|\{)/.test(code.slice(at, at + 20));
}

function lineStart(code: string, at: number): number {
  return code.lastIndexOf('\n', at) + 1;
}
