/** Words of the private memory's directory (kernel-memory.ts), and of a slot's header. */
import { load32 } from './slot';

/** The directory word `word`. */
export function directory(word: u32): u32 {
  return load<u32>(word << 2);
}

export function setDirectory(word: u32, value: u32): void {
  store<u32>(word << 2, value);
}

/** The header word `word` of the slot. */
export function header(word: u32): u32 {
  return load32(word << 2);
}
