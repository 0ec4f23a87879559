import type { Endpoint } from '@holdfast/contract/endpoint';

/**
 * The request target of an endpoint with its parameters and query filled in and encoded. Values that are undefined are left
 * out of the query.
 * @throws TypeError when a parameter of the path is missing
 */
export function requestTarget(
  endpoint: Pick<Endpoint, 'path'>,
  params: object = {},
  query: object = {},
): string {
  const values = new Map<string, unknown>(Object.entries(params));
  const path = endpoint.path.replace(/\{(\w+)(\*?)\}/g, (_, name: string, rest: string) => {
    const value = text(values.get(name));
    if (value === undefined) throw new TypeError(`The path ${endpoint.path} needs the parameter ${name}.`);
    return rest === '' ? encodeURIComponent(value) : value.split('/').map(encodeURIComponent).join('/');
  });
  const search = Object.entries(query).flatMap(([name, value]: [string, unknown]) => {
    const written = text(value);
    return written === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(written)}`];
  });
  return search.length === 0 ? path : `${path}?${search.join('&')}`;
}

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return undefined;
}
