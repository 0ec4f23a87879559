import { HoldfastError } from './errors.ts';

/** Where a machine may put its one-time token. */
export interface NodeTokenSources {
  /** `?token=` of the query. */
  query?: string | undefined;
  /** The `Authorization` header. */
  authorization?: string | undefined;
  /** The body as text, whatever media type it claims: busybox wget calls everything a form. */
  body?: string | undefined;
}

/**
 * The one-time token that a machine sends when it is installed, from the first place that has one: a JSON body
 * `{"token": "…"}`, a form body `token=…`, a body that is the token alone, the query, `Authorization: Bearer`.
 *
 * @throws HoldfastError `unauthenticated` when there is none.
 */
export function nodeTokenFrom({ query, authorization, body }: NodeTokenSources): string {
  const token =
    tokenOfBody(body ?? '') || query?.trim() || /^Bearer +(\S+)\s*$/i.exec(authorization ?? '')?.[1];
  if (token === undefined || token === '') {
    throw new HoldfastError(
      'unauthenticated',
      'The node\'s one-time token is missing: send it as {"token": "…"}, as the form field `token`, ' +
        'as ?token=… or as Authorization: Bearer ….',
    );
  }
  return token;
}

function tokenOfBody(body: string): string | undefined {
  const text = body.trim();
  if (text.startsWith('{')) return tokenOfJson(text);
  if (/^[\w.~+/-]+$/.test(text)) return text;
  return new URLSearchParams(text).get('token')?.trim();
}

function tokenOfJson(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new HoldfastError(
      'invalid_request',
      'The body starts like JSON but is none: send {"token": "…"}.',
      { cause },
    );
  }
  if (typeof value !== 'object' || value === null || !('token' in value)) return undefined;
  return typeof value.token === 'string' ? value.token.trim() : undefined;
}
