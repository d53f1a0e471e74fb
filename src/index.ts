/** The library's public face: everything a program imports from `sortition`. */
import './workers/node-version.ts';

export { RANGE_NAMES } from './engine/address/special-use.ts';
export { encodedBytesMax } from './engine/encoding/encode.ts';
export { CacheError, type ErrorCode } from './engine/errors.ts';
export type { PlacementFilter, PlacementOptions } from './engine/placement/placement.ts';
export type { Selection } from './engine/selection/selection-result.ts';
export type * from './engine/selection/selection-types.ts';
export { attachCache, openCache } from './workers/cache.ts';
export type * from './workers/cache-options.ts';
export type * from './workers/cache-types.ts';
export type * from './workers/load-report.ts';
export type { LoaderStatus, RefreshResult } from './workers/messages.ts';
export { fileSource } from './workers/source/file-source.ts';
export type { SourceOptions } from './workers/source/open-source.ts';
export { postgresSource } from './workers/source/postgres-source.ts';
