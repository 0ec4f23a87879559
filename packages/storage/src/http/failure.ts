import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';
import type { ProgressWatch } from './progress-watch.ts';

const connectionAdvice: Record<string, string> = {
  ENOTFOUND: 'The host name is not known. Check config.base_url and the name server.',
  EAI_AGAIN: 'The name server does not answer. Check config.base_url and the network.',
  ECONNREFUSED: 'Nothing listens at that port. Is the web server running? Check config.base_url.',
  EHOSTUNREACH: 'There is no way to the host. Check config.base_url and the network.',
  ENETUNREACH: 'There is no way to the network. Check config.base_url and the network.',
};
const certificateCode = /CERT|SELF_SIGNED|SIGNATURE|ISSUER/;

/**
 * What broke an exchange as an error of ours: `cancelled`, or `backend_unavailable`. Only the error's code and message
 * are kept, because what undici throws may hold parts of the exchange.
 * @param doing what was tried, as a gerund: `Reading /isos/a.iso`
 */
export function exchangeError(
  error: unknown,
  doing: string,
  watch: ProgressWatch,
  caller: AbortSignal | undefined,
): HoldfastError {
  if (error instanceof HoldfastError) return error;
  try {
    throwIfCancelled(caller, doing);
  } catch (cancelled) {
    if (cancelled instanceof HoldfastError) return cancelled;
  }
  if (watch.isExpired) {
    const text = `${doing} failed: the web server gave no sign of life for ${watch.limitMs / 1000} s. Check that it runs.`;
    return new HoldfastError('backend_unavailable', text);
  }
  const code = errnoOf(error) ?? '';
  const cause = new Error(error instanceof Error ? error.message : 'not an error');
  if (certificateCode.test(code)) {
    const text = `${doing} failed: the certificate of the web server is not trusted (${code}). Check config.base_url.`;
    return new HoldfastError('backend_unavailable', text, { cause, retryable: false });
  }
  const advice = connectionAdvice[code] ?? 'The connection broke, or what came was not HTTP. Try again.';
  const failed = code === '' ? `${doing} failed.` : `${doing} failed (${code}).`;
  return new HoldfastError('backend_unavailable', `${failed} ${advice}`, { cause });
}

/** A reply that makes no sense: damaged on its way, or from something that is not the server that was configured. */
export function garbledReply(doing: string, what: string): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    `${doing} failed: the web server's answer is damaged (${what}). Try again.`,
  );
}

interface Meaning {
  code: ErrorCode;
  advice: string;
  retryable?: boolean;
}

const writeMeanings: Record<number, Meaning> = {
  403: { code: 'read_only', advice: 'The web server forbids it. Check its permissions and config.username.' },
  405: {
    code: 'read_only',
    advice: 'The web server does not allow it there. Is WebDAV switched on? Check config.writable.',
  },
  501: {
    code: 'read_only',
    advice: 'The web server does not know how. Is WebDAV switched on? Check config.writable.',
  },
};

const meanings: Record<number, Meaning> = {
  400: {
    code: 'backend_unavailable',
    advice: 'The web server did not understand the request; was it damaged on its way? Try again.',
  },
  401: {
    code: 'backend_unavailable',
    advice:
      'The web server refuses the credentials. Check config.auth_method, config.username and config.password.',
    retryable: false,
  },
  403: {
    code: 'backend_unavailable',
    advice: 'The web server forbids it. Check its permissions and config.username.',
    retryable: false,
  },
  404: { code: 'file_not_found', advice: 'It does not exist.' },
  405: { code: 'not_supported', advice: 'The web server does not allow it there. Check config.listing.' },
  408: {
    code: 'backend_unavailable',
    advice: 'The web server was tired of waiting for the request. Try again.',
  },
  409: { code: 'conflict', advice: 'The web server says that it does not fit what is there. Try again.' },
  410: { code: 'file_not_found', advice: 'It does not exist any more.' },
  412: {
    code: 'conflict',
    advice: 'It was changed by somebody else in this moment. Try again.',
    retryable: true,
  },
  413: { code: 'too_large', advice: 'The web server does not take files as large as this.' },
  414: { code: 'invalid_path', advice: 'The path is too long for the web server.' },
  423: {
    code: 'conflict',
    advice: 'Somebody else has it locked (WebDAV LOCK). Try again later.',
    retryable: true,
  },
  429: { code: 'backend_unavailable', advice: 'The web server asks for fewer requests. Try again later.' },
  501: { code: 'not_supported', advice: 'The web server does not know how. Check config.listing.' },
  507: {
    code: 'storage_full',
    advice: 'The storage of the web server is full. Free some space, then try again.',
  },
};

/** The error for a status that says no. @param access a refused write is `read_only` */
export function statusError(status: number, doing: string, access: 'read' | 'write' = 'read'): HoldfastError {
  const meaning = (access === 'write' ? writeMeanings[status] : undefined) ?? meanings[status];
  if (meaning !== undefined) {
    const options = meaning.retryable === undefined ? {} : { retryable: meaning.retryable };
    return new HoldfastError(meaning.code, `${doing} failed (HTTP ${status}). ${meaning.advice}`, options);
  }
  if (status >= 500) {
    const hint = access === 'write' ? 'Its error log says why; is its disk full?' : 'Its error log says why.';
    return new HoldfastError(
      'backend_unavailable',
      `${doing} failed: the web server answered ${status}. ${hint}`,
    );
  }
  const text = `${doing} failed: the web server answered ${status}, which was not expected. Check config.base_url.`;
  return new HoldfastError('backend_unavailable', text, { retryable: false });
}
