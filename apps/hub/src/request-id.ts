import type { IncomingHttpHeaders } from 'node:http';

/** Makes ids unique beyond this process. */
const prefix = crypto.randomUUID().slice(0, 13);
let count = 0;

/** The caller's request id when it is harmless in a log line and a header, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-request-id'];
  if (typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given)) return given;
  count += 1;
  return `${prefix}-${count.toString(36)}`;
}
