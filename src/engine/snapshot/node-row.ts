/** A node as a source delivers it: the input of the snapshot builder. Nothing in it is trusted yet. */

export interface NodeRow {
  /** 32 bytes, or 64 hexadecimal digits. */
  readonly id: Uint8Array | string;
  /** IPv4 dotted decimal or IPv6 text, without a prefix length or a zone. */
  readonly ip: string;
  /** 1 to 65535; anything else refuses the row. */
  readonly port: number;
  /** The network as the source names it (`last_net`); computed from `ip` when absent. */
  readonly network?: string | undefined;
  /** True: the vetted pool; false: the new pool. */
  readonly vetted: boolean;
  /**
   * Name of the criterion that keeps the node out of selections (it can still be looked up); absent:
   * eligible.
   */
  readonly ineligible?: string | undefined;
  /** Values in the order of the attribute names asked for; `undefined` where the source has none. */
  readonly attributes: readonly (string | undefined)[];
}
