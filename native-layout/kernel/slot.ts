/**
 * The slot's memory: the snapshot that the calling thread has leased. AssemblyScript knows one memory, which
 * is the private one here; these stand for loads from the other, and the build puts those in their
 * place.
 */
export declare function load8(at: u32): u32;
export declare function load16(at: u32): u32;
export declare function load32(at: u32): u32;
export declare function load64(at: u32): u64;
export declare function load128(at: u32): v128;
/** Sequentially consistent: for the one word of a slot that changes while it is read. */
export declare function atomicLoad32(at: u32): u32;
