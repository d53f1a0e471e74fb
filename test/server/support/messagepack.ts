/** MessagePack as another program would write it: by the library, without its private extensions. */
import { Packr } from 'msgpackr';

export const packr = new Packr({ useRecords: false });
