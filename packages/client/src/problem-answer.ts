import { HoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';
import { problem, problemMediaType } from '@holdfast/contract/problem';

/** An answer that is no problem of ours comes from something before the hub; what its status means all the same. */
const codesOfStatus = new Map<number, ErrorCode>([
  [400, 'invalid_request'],
  [401, 'unauthenticated'],
  [403, 'forbidden'],
  [404, 'not_found'],
  [405, 'method_not_allowed'],
  [409, 'conflict'],
  [411, 'length_required'],
  [412, 'precondition_failed'],
  [413, 'too_large'],
  [416, 'range_not_satisfiable'],
  [429, 'too_many_requests'],
  [507, 'storage_full'],
]);

/** The error that a refusal is: the hub's own code, fields and sentence, or what the status says when it is not the hub's. */
export async function errorOfAnswer(response: Response, url: string): Promise<HoldfastError> {
  const type = response.headers.get('content-type') ?? '';
  if (type.startsWith(problemMediaType)) {
    const parsed = problem.safeParse(parsedJson(await response.text()));
    if (parsed.success) {
      const { code, detail, errors } = parsed.data;
      return new HoldfastError(code, detail, errors === undefined ? {} : { errors });
    }
  } else {
    await response.body?.cancel();
  }
  const { status } = response;
  const code = codesOfStatus.get(status) ?? 'unreachable';
  return new HoldfastError(
    code,
    `${url} answered ${status}${type === '' ? '' : ` as ${type}`}, which no hub of this version says. Check that the URL leads to a ` +
      'hub, and the proxies on the way.',
    { retryable: status === 429 || status >= 502 },
  );
}

/** Parsed JSON, or undefined. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error of a call that got no answer. */
export function unreachable(url: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    'unreachable',
    `The hub at ${url} cannot be reached${reasonOf(cause)}. Check the URL, that the hub is running, and the network between.`,
    { cause, retryable: true },
  );
}

/** Node keeps the reason of `fetch failed` in the cause; browsers tell none. */
function reasonOf(error: unknown): string {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause instanceof Error) innermost = innermost.cause;
  if (!(innermost instanceof Error)) return '';
  const code = 'code' in innermost && typeof innermost.code === 'string' ? innermost.code : '';
  const text = [innermost.message, code].filter((part) => part !== '').join(', ');
  return text === '' ? '' : ` (${text})`;
}
