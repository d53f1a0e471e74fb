/**
 * A program that opens a bus by the options of its argument, uses it, closes it, and has nothing more to do:
 * it must end by itself. With `silent` as second argument the engine never answers.
 */
import { LOG_START } from '../../src/workers/bus/bus.ts';
import { type BusOptions, openBus } from '../../src/workers/bus/open-bus.ts';

const [options = '', way] = process.argv.slice(2);
const bus = await openBus(JSON.parse(options) as BusOptions);
const following = bus.follow(LOG_START, new AbortController().signal);
if (way === 'silent') {
  const calls = [bus.last(), bus.getBlob('none'), following.next()];
  const results = await Promise.allSettled(calls);
  await bus.close();
  process.stdout.write(`${results.map(({ status }) => status).join(' ')}, closed\n`);
} else {
  await bus.append({ position: { epoch: 1, seq: 0 }, bytes: Buffer.from('one') });
  await bus.putBlob('blob', new Uint8Array(3_000_000), 60_000);
  await bus.beat({ replica: 'one', bytes: Buffer.from('alive') }, 60_000);
  const { value } = await following.next();
  const blob = await bus.getBlob('blob');
  await bus.close();
  process.stdout.write(`read ${value?.length} and ${blob?.byteLength}, closed\n`);
}
