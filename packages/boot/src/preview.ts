import type { BootWorkflow } from './boot-input.ts';
import { backendPathOf } from './boot-url.ts';

/** A file that a workflow takes from the boot backend. */
export interface BootFile {
  role: 'kernel' | 'initrd' | 'boot';
  /** On the boot backend, with a leading slash. */
  path: string;
}

/** The files that the workflow takes from the boot backend; a boot URL that leads elsewhere is none of them. */
export function bootFiles(workflow: BootWorkflow): BootFile[] {
  const { installMethod, kernelPath, initrdPath, bootUrl } = workflow;
  if (installMethod === 'kernel') {
    return [
      ...(kernelPath === null ? [] : [{ role: 'kernel' as const, path: kernelPath }]),
      ...(initrdPath === null ? [] : [{ role: 'initrd' as const, path: initrdPath }]),
    ];
  }
  const path = bootUrl === null ? undefined : backendPathOfUrl(bootUrl);
  return path === undefined ? [] : [{ role: 'boot', path }];
}

function backendPathOfUrl(url: string): string | undefined {
  // What depends on the machine names no one file.
  const local = url.startsWith('/') ? url : backendPathOf(url.replace(/^\$\{server\}/, ''));
  return local?.includes('${') === true ? undefined : local;
}
