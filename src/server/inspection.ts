/** The debugger of this process, where Node.js has one. */

/** Not imported: a Node.js that was built without it does not start then. */
export function nodeInspector(): typeof import('node:inspector') {
  return process.getBuiltinModule('node:inspector');
}

/** Somebody can debug this process: then a thread that stands still may be at a breakpoint. */
export function isDebugged(): boolean {
  return process.features.inspector && nodeInspector().url() !== undefined;
}
