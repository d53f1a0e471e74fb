/**
 * The kernel: draws, looks up and encodes over the snapshot of a slot (native-layout/README.md) and a private
 * memory (kernel-memory.ts). Written in AssemblyScript; nothing here checks what it is given. Its caller is
 * src/engine/kernel, its oracle the plain TypeScript in src/engine/selection and src/engine/encoding.
 */
export { encodeJson } from './encode-json';
export { encodeMessagePack } from './encode-messagepack';
export { encodeRecords } from './encode-records';
export { decodeIds } from './ids';
export { lookup } from './lookup';
export { select } from './select';
