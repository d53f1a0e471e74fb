/** Ends a program on a Node.js that is too old with one clear sentence; imported before everything else. */

const OLDEST = [22, 12] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  throw new Error(`sortition needs Node.js ${OLDEST.join('.')} or newer; this is ${process.versions.node}`);
}
