/** What a thread that takes seats (seat-worker.ts) can be told. */
export type SeatCommand = 'attach' | 'startChild' | 'adoptChild' | 'terminateChild' | 'exitSelecting';
