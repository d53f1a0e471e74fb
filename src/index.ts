/** The library's public face: everything a program imports from `sortition`. */
import './node-version.ts';

export { encodedBytesMax } from './engine/encode.ts';
export { CacheError, type ErrorCode } from './engine/errors.ts';
export type { PlacementFilter, PlacementOptions } from './engine/placement.ts';
export type { Selection } from './engine/selection-result.ts';
export type * from './engine/selection-types.ts';
export { RANGE_NAMES } from './engine/special-use.ts';
export { attachCache, openCache } from './workers/cache.ts';
export type * from './workers/cache-types.ts';
export type { LoaderStatus, LoadReport, NodeCounts, RefreshResult } from './workers/messages.ts';
export { fileSource } from './workers/source/file-source.ts';
export type { SourceOptions } from './workers/source/open-source.ts';
export { postgresSource } from './workers/source/postgres-source.ts';
