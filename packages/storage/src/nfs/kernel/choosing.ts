import { refuseConfig } from '../config.ts';
import type { NfsSettings } from '../config.ts';
import { kernelObstacle } from './kernel-support.ts';
import type { KernelSupport } from './kernel-support.ts';

/** Which client to begin with, and whether the other one may take its place when it turns out that it cannot mount. */
export type Choice =
  | { client: 'direct' }
  | {
      client: 'kernel';
      mountRoot: string;
      mayFallBack: boolean;
      /** Why it will not work, as far as can be seen. */
      obstacle: string | undefined;
    };

/**
 * Chooses the client for a share. `auto` takes the kernel's where it can be used, unless the configuration asks for
 * what only our own has (`local_port`).
 * @throws HoldfastError `validation_failed` when `kernel` is asked for without a folder to mount on
 */
export function chooseClient(
  settings: Pick<NfsSettings, 'mode' | 'localPort'>,
  mountRoot: string | undefined,
  support: KernelSupport,
): Choice {
  if (settings.mode === 'direct') return { client: 'direct' };
  const obstacle = kernelObstacle(support);
  if (settings.mode === 'auto') {
    const isKernel = obstacle === undefined && mountRoot !== undefined && settings.localPort === undefined;
    return isKernel ? { client: 'kernel', mountRoot, mayFallBack: true, obstacle } : { client: 'direct' };
  }
  if (mountRoot === undefined)
    refuseConfig('mode', 'there is no folder to mount shares on; use config.mode direct');
  return { client: 'kernel', mountRoot, mayFallBack: false, obstacle };
}
