import { endpoints } from '@holdfast/contract/endpoints';

const patterns = Object.values(endpoints).map((endpoint) => ({
  method: endpoint.method,
  pattern: new RegExp(
    `^${endpoint.path
      .split(/(\{[^}]+\})/)
      .map((part) =>
        part.startsWith('{')
          ? part.endsWith('*}')
            ? '.*'
            : '[^/]+'
          : part.replace(/[.*+?^$()|[\]\\]/g, '\\$&'),
      )
      .join('')}$`,
  ),
}));

/** The methods that a path answers to, for 405 answers; empty for an unknown path. */
export function methodsOf(path: string): string[] {
  const methods = patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))];
}
