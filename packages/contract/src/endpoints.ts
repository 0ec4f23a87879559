import { backendEndpoints } from './backends.ts';
import { bootEndpoints } from './boot.ts';
import { checksumEndpoints } from './checksums.ts';
import { eventEndpoints } from './events.ts';
import { fileEndpoints } from './files.ts';
import { lunEndpoints } from './luns.ts';
import { hostFileEndpoints, vaultEndpoints } from './host-files.ts';
import { keyEndpoints } from './keys.ts';
import { nodeEndpoints } from './nodes.ts';
import { operationEndpoints } from './operations.ts';
import { settingsEndpoints } from './settings.ts';
import { systemEndpoints } from './system.ts';
import { transferEndpoints } from './transfers.ts';
import { tusEndpoints } from './tus.ts';
import { legacyUploadEndpoints, uploadEndpoints } from './uploads.ts';
import { workflowEndpoints } from './workflows.ts';

/** Every endpoint of the hub by its name, which is also its `operationId`. */
export const endpoints = {
  ...backendEndpoints,
  ...fileEndpoints,
  ...checksumEndpoints,
  ...bootEndpoints,
  ...nodeEndpoints,
  ...workflowEndpoints,
  ...uploadEndpoints,
  ...tusEndpoints,
  ...legacyUploadEndpoints,
  ...hostFileEndpoints,
  ...vaultEndpoints,
  ...transferEndpoints,
  ...lunEndpoints,
  ...operationEndpoints,
  ...eventEndpoints,
  ...settingsEndpoints,
  ...keyEndpoints,
  ...systemEndpoints,
};

export type EndpointName = keyof typeof endpoints;
