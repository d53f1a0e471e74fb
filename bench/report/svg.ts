/**
 * The little of SVG that the plots need: a frame with title, subtitle and small print, in the colours of a
 * light or a dark page, and shapes by class. Numbers have two decimals at the most: the same input gives the
 * same bytes. Style sheets without variables, so that every viewer draws them.
 */
import type { Environment } from '../harness/environment.ts';
import { madeText } from './results.ts';

export const WIDTH = 800;
export const MARGIN = 24;
/** Where the drawing begins, below title and subtitle. */
export const TOP = 76;
const SMALL_PRINT_HEIGHT = 34;

/** What a thing is, which decides its colour. */
export type Tone = 'ours' | 'ours-too' | 'ours-third' | 'peer' | 'floor';

/** [light page, dark page]. */
const COLOURS: Readonly<Record<Tone | 'page' | 'ink' | 'soft' | 'line', readonly [string, string]>> = {
  page: ['#ffffff', '#0d1117'],
  ink: ['#1f2328', '#e6edf3'],
  soft: ['#59636e', '#9198a1'],
  line: ['#e3e7eb', '#262c34'],
  ours: ['#0b5fce', '#58a6ff'],
  'ours-too': ['#0f7f78', '#39c5bb'],
  'ours-third': ['#8244b8', '#bc8cff'],
  peer: ['#b3541e', '#e8945a'],
  floor: ['#6b7580', '#8b949e'],
};
const FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif";

export interface Frame {
  readonly title: string;
  readonly subtitle: string;
  /** What the picture says, for those who cannot see it. */
  readonly description: string;
  readonly height: number;
  readonly environment: Environment;
  /** Said before the environment in the small print. */
  readonly note?: string;
  readonly body: readonly string[];
}

export function svg(frame: Frame): string {
  const height = frame.height + SMALL_PRINT_HEIGHT;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"` +
      ` viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(frame.title)}</title>`,
    `<desc id="description">${escaped(frame.description)}</desc>`,
    `<style>\n${style()}\n</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
    text(MARGIN, 34, frame.title, { class: 'title' }),
    text(MARGIN, 54, frame.subtitle, { class: 'soft' }),
    ...frame.body,
    text(MARGIN, height - 14, smallPrint(frame), { class: 'small' }),
    '</svg>',
  ].join('\n')}\n`;
}

function smallPrint({ environment, note }: Frame): string {
  const made = madeText(environment, ' · ');
  return note === undefined ? made : `${note} · ${made}`;
}

function style(): string {
  const rules = (scheme: 0 | 1) => [
    `.page { fill: ${COLOURS.page[scheme]}; stroke: ${COLOURS.line[scheme]}; }`,
    `text { fill: ${COLOURS.ink[scheme]}; }`,
    `.soft, .small { fill: ${COLOURS.soft[scheme]}; }`,
    `.grid { stroke: ${COLOURS.line[scheme]}; }`,
    ...(['ours', 'ours-too', 'ours-third', 'peer', 'floor'] as const).flatMap(tone => [
      `.fill.${tone} { fill: ${COLOURS[tone][scheme]}; }`,
      `.stroke.${tone} { stroke: ${COLOURS[tone][scheme]}; }`,
    ]),
    // The hole of a ring has the page's colour.
    `.ring { fill: ${COLOURS.page[scheme]}; }`,
  ];
  return [
    `text { font: 13px ${FONT}; }`,
    '.title { font-size: 17px; font-weight: 600; }',
    '.small { font-size: 11px; }',
    '.strong { font-weight: 600; }',
    '.grid { fill: none; }',
    '.stroke { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }',
    '.thin { stroke-width: 1.4; }',
    '.dashed { stroke-dasharray: 5 4; }',
    ...rules(0),
    `@media (prefers-color-scheme: dark) {\n${rules(1).join('\n')}\n}`,
  ].join('\n');
}

export interface TextStyle {
  readonly class?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
}

export function text(x: number, y: number, content: string, options: TextStyle = {}): string {
  const anchor =
    options.anchor === undefined || options.anchor === 'start' ? '' : ` text-anchor="${options.anchor}"`;
  const kind = options.class === undefined ? '' : ` class="${options.class}"`;
  return `<text x="${number(x)}" y="${number(y)}"${anchor}${kind}>${escaped(content)}</text>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, kind = 'grid'): string {
  return `<path class="${kind}" d="M${number(x1)} ${number(y1)}L${number(x2)} ${number(y2)}"/>`;
}

export type Point = readonly [x: number, y: number];

export function polyline(points: readonly Point[], kind: string): string {
  const path = points.map(([x, y]) => `${number(x)} ${number(y)}`).join('L');
  return `<path class="stroke ${kind}" d="M${path}"/>`;
}

export function dot([x, y]: Point, tone: Tone, radius = 3.5): string {
  return `<circle class="fill ${tone}" cx="${number(x)}" cy="${number(y)}" r="${radius}"/>`;
}

/** A dot that is not filled. */
export function ring([x, y]: Point, tone: Tone, radius = 3.5): string {
  return `<circle class="ring stroke thin ${tone}" cx="${number(x)}" cy="${number(y)}" r="${radius}"/>`;
}

export function bar(x: number, y: number, width: number, height: number, tone: Tone): string {
  const size = `width="${number(Math.max(width, 1))}" height="${number(height)}"`;
  return `<rect class="fill ${tone}" x="${number(x)}" y="${number(y)}" ${size} rx="2"/>`;
}

function number(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
