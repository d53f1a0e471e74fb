/** The layout as other programs import it (`sortition/layout`): declarations only. */
export * from './control-block.ts';
export * from './id-hash.ts';
export * from './layout-constants.ts';
export * from './network-key.ts';
export * from './node-record.ts';
export * from './snapshot-header.ts';
export * from './snapshot-layout.ts';
export * from './snapshot-row.ts';
export * from './snapshot-views.ts';
