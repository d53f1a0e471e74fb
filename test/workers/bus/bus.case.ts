/**
 * What every bus has to do. Each engine's test file runs this suite against a real server of its own; a bus
 * without a server leaves out what harms one.
 */
import { describe } from 'vitest';
import type { BusSubject } from '../../support/bus-subject.ts';
import { testBeats, testBlobs, testPointer } from './bus-blobs.case.ts';
import { testFaults } from './bus-faults.case.ts';
import { testLog } from './bus-log.case.ts';

export function describeBus(name: string, subject: () => BusSubject, options: { hasServer: boolean }): void {
  describe(`${name} as a bus`, () => {
    describe('log', () => testLog(subject));
    describe('blobs', () => testBlobs(subject, options));
    describe('pointer', () => testPointer(subject));
    describe('heartbeats', () => testBeats(subject));
    if (options.hasServer) describe('faults', () => testFaults(subject));
  });
}
