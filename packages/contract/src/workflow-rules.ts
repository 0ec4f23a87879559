import { unknownVariables } from './boot-variables.ts';
import type { FieldProblem } from './errors.ts';

/** The fields of a workflow that depend on one another. */
export interface WorkflowFields {
  install_method: 'kernel' | 'sanboot' | 'chain';
  kernel_path: string | null;
  boot_url: string | null;
}

/**
 * What is wrong with a path on the boot backend, as the end of a sentence; undefined when it is fine. The
 * backend applies its own rules on top.
 */
export function bootPathProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return 'must start with /';
  if (/[\p{Cc}\p{Zl}\p{Zp}\\]/u.test(path) || !path.isWellFormed()) {
    return 'must not hold control characters or backslashes';
  }
  const segments = path.split('/').filter((segment) => segment !== '');
  if (segments.length === 0 || path.endsWith('/')) return 'must name a file';
  if (segments.includes('..') || segments.includes('.')) return 'must not hold . or .. segments';
  if (segments[0]?.toLowerCase() === '.holdfast') return 'must not lie in /.holdfast, which is reserved';
  return undefined;
}

/**
 * What is wrong with a kernel command line. Besides line breaks, that is what iPXE would take for itself, since
 * its parser has no quoting: the words `||`, `&&` and `;` end a command, a word that begins with `#` is a comment.
 */
export function cmdlineProblem(cmdline: string): string | undefined {
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(cmdline) || !cmdline.isWellFormed()) {
    return 'must not hold line breaks or control characters';
  }
  const word = cmdline.split(' ').find((text) => /^(?:\|\||&&|;|#.*)$/.test(text));
  if (word !== undefined) return `must not hold the word ${word}, which iPXE would take as its own`;
  return variableProblem(cmdline);
}

/** What is wrong with a boot URL: its scheme, blanks, or an unknown variable. */
export function bootUrlProblem(url: string): string | undefined {
  if (/[\p{Cc}\p{Z}\\]/u.test(url) || !url.isWellFormed()) {
    return url.startsWith('/') && !/[\p{Cc}\p{Zl}\p{Zp}\\]/u.test(url) && url.isWellFormed()
      ? bootPathProblem(url)
      : 'must not hold blanks, backslashes or control characters; write a blank as %20';
  }
  if (url.startsWith('/')) return bootPathProblem(url) ?? variableProblem(url);
  if (!/^(?:https?:\/\/[^/]|tftp:\/\/[^/]|iscsi:.|\$\{server\})/i.test(url)) {
    return 'must be an http, https, tftp or iscsi URL, start with ${server}, or be a /path on the boot backend';
  }
  return variableProblem(url);
}

/** The rules across fields: `kernel` needs `kernel_path`, `sanboot` and `chain` need `boot_url`. */
export function workflowProblems(fields: WorkflowFields): FieldProblem[] {
  if (fields.install_method === 'kernel') {
    return fields.kernel_path === null
      ? [{ field: 'kernel_path', message: 'is required when install_method is kernel' }]
      : [];
  }
  return fields.boot_url === null
    ? [{ field: 'boot_url', message: `is required when install_method is ${fields.install_method}` }]
    : [];
}

function variableProblem(text: string): string | undefined {
  const unknown = unknownVariables(text);
  if (unknown.length === 0) return undefined;
  return (
    `must not hold ${unknown.join(', ')}; ` +
    'the variables are ${server}, ${node_id}, ${mac}, ${ip} and ${node_token}'
  );
}
