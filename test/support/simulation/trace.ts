/** What happened in a run, as one number; and as text, where it was asked for. */

const PRIME = 0x01000193;

export class Trace {
  /** Kept only where somebody wants to read them. */
  readonly lines: string[] = [];
  isKept = false;
  #high = 0x811c9dc5;
  #low = 0x9e3779b9;

  add(atMs: number, what: string): void {
    if (this.isKept) this.lines.push(`${String(atMs).padStart(6)} ${what}`);
    this.#mix(atMs);
    for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i));
  }

  /** 16 hexadecimal digits: equal for equal runs. */
  get hash(): string {
    const text = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
    return text(this.#high) + text(this.#low);
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, PRIME);
    this.#low = Math.imul(this.#low ^ value ^ (this.#high >>> 15), 0x85ebca6b);
  }
}
