/**
 * Reads the file of identities, and again when it has changed. What cannot be read, or is wrong in any line,
 * changes nothing: those who were known stay known, and log and status say why. Main thread, which serves
 * too: at the start it waits for the file, later it never does.
 */
import type { Logger } from 'pino';
import type { AccessOptions } from '../config/options.ts';
import type { AccessData } from './access-gate.ts';
import type { Identity } from './identity.ts';
import { IDENTITIES_MAX, parseIdentities } from './identity-file.ts';
import { keepPlaces } from './rate-places.ts';
import { RateWords } from './rate-words.ts';
import { readIfChanged, readMarkedFile, readSmallFile } from './read-file.ts';

const LOOK_AGAIN_MS = 1_000;

/** What `/v1/status` and `/v1/admin/access` say. */
export interface AccessStatus {
  readonly mode: AccessOptions['mode'];
  /** `null`: everybody, or every certificate of the authority. */
  readonly identities: number | null;
  /** Why the newest file is not the one in force. */
  readonly problem: string | null;
}

export class AccessKeeper {
  readonly #options: AccessOptions;
  readonly #log: Logger;
  readonly #rates = RateWords.reserve(IDENTITIES_MAX);
  readonly #listeners: ((identities: readonly Identity[]) => void)[] = [];
  #identities: readonly Identity[] | undefined;
  /** Of the file that is in force. */
  #mark: string | undefined;
  /** Of a file that was read, and is wrong: it is not read every second. */
  #refusedMark: string | undefined;
  #problem: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** One at a time, however long a file system takes. */
  #looking = false;
  #stopped = false;

  /** Throws what is wrong with the file. */
  constructor(options: AccessOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
    const { file, mode } = options;
    if (mode === 'open' || file === undefined) return;
    const { text, mark } = named(file, () => readMarkedFile(file));
    this.#identities = named(file, () => parse(text, mode));
    this.#mark = mark;
    this.#timer = setInterval(() => void this.look(), LOOK_AGAIN_MS).unref();
  }

  /** Undefined while data routes are open to everybody. */
  data(): AccessData | undefined {
    const { mode, publicGroups } = this.#options;
    if (mode === 'open') return undefined;
    return { mode, publicGroups, identities: this.#identities, rates: this.#rates };
  }

  status(): AccessStatus {
    return {
      mode: this.#options.mode,
      identities: this.#identities?.length ?? null,
      problem: this.#problem ?? null,
    };
  }

  /** Those in force, without their digests. */
  list(): Omit<Identity, 'digest' | 'index'>[] {
    return (this.#identities ?? []).map(({ digest, index, ...identity }) => identity);
  }

  /** Called with all identities when they have changed. */
  onChange(listener: (identities: readonly Identity[]) => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the file when it is another one than that in force. Never rejects. */
  async look(): Promise<void> {
    const { file, mode } = this.#options;
    if (mode === 'open' || file === undefined || this.#looking) return;
    this.#looking = true;
    try {
      const { text, mark } = await readIfChanged(file, [this.#mark, this.#refusedMark]);
      if (!this.#stopped) this.#settle(mark, text, mode);
    } catch (error) {
      this.#refusedMark = undefined;
      this.#refuse(error, file);
    } finally {
      this.#looking = false;
    }
  }

  /** `text`: absent where the mark is known. */
  #settle(mark: string, text: string | undefined, mode: FileMode): void {
    if (mark === this.#mark) {
      // It was away, or another one was here, and it is back.
      this.#refusedMark = undefined;
      this.#problem = undefined;
    }
    if (text === undefined) return;
    let identities: readonly Identity[];
    try {
      identities = keepPlaces(parse(text, mode), this.#identities ?? []);
    } catch (error) {
      this.#refusedMark = mark;
      this.#refuse(error, this.#options.file);
      return;
    }
    this.#identities = identities;
    this.#mark = mark;
    this.#refusedMark = undefined;
    this.#problem = undefined;
    for (const listener of this.#listeners) listener(identities);
    this.#log.info({ identities: identities.length }, 'the identities were read again');
  }

  #refuse(error: unknown, file: string | undefined): void {
    const problem = `${file}: ${(error as Error).message}`;
    if (problem === this.#problem || this.#stopped) return;
    this.#problem = problem;
    this.#log.error({ problem }, 'the new identities are refused: the old ones stay');
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }
}

type FileMode = Exclude<AccessOptions['mode'], 'open'>;

/** Throws with the name of the file and the lines at fault. */
export function readIdentities(file: string, mode: FileMode): Identity[] {
  return named(file, () => parse(readSmallFile(file), mode));
}

function parse(text: string, mode: FileMode): Identity[] {
  return parseIdentities(text, mode === 'keys' ? 'keys' : 'certificates');
}

function named<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Error(`${file}: ${(cause as Error).message}`, { cause });
  }
}
