/** The PostgreSQL versions on this machine that tests can start: the embedded one, and those of Debian. */
import { existsSync, readdirSync } from 'node:fs';

const DEBIAN_FOLDER = '/usr/lib/postgresql';

export interface PostgresVersion {
  readonly name: string;
  /** Absent: the embedded one. */
  readonly binaries?: string;
  /** Over those of the demo. */
  readonly settings: Record<string, string | undefined>;
}

/** Came with version 18. */
const NEW_SETTINGS = { io_method: undefined };

export function postgresVersions(): PostgresVersion[] {
  const debian = existsSync(DEBIAN_FOLDER) ? readdirSync(DEBIAN_FOLDER) : [];
  const usable = debian.filter(name => existsSync(`${DEBIAN_FOLDER}/${name}/bin/postgres`));
  return [
    { name: 'embedded', settings: {} },
    ...usable.map(name => ({
      name: `Debian's ${name}`,
      binaries: `${DEBIAN_FOLDER}/${name}`,
      settings: Number(name) < 18 ? NEW_SETTINGS : {},
    })),
  ];
}
