import websocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import type { HubContext } from '../context.ts';
import { measureRequests } from '../http/http.ts';
import { backendRoutes } from './backends.ts';
import { bootFileRoutes, bootScriptRoutes } from './boot.ts';
import { eventRoutes } from './events.ts';
import { fileRoutes } from './files.ts';
import { hostFileRoutes } from './host-files.ts';
import { keyRoutes } from './keys.ts';
import { legacyUploadRoutes } from './legacy-uploads.ts';
import { nodeRoutes } from './nodes.ts';
import { operationRoutes } from './operations.ts';
import { closeRefusedUpgrades } from './refused-upgrades.ts';
import { settingsRoutes } from './settings.ts';
import { systemRoutes } from './system.ts';
import { transferRoutes } from './transfers.ts';
import { tusRoutes } from './tus.ts';
import { uploadBatchRoutes } from './upload-batch.ts';
import { uploadRoutes } from './uploads.ts';
import { vaultRoutes } from './vault.ts';
import { workflowRoutes } from './workflows.ts';

/** Mounts every route of the hub. */
export async function registerRoutes(app: FastifyInstance, context: HubContext): Promise<void> {
  await app.register(websocket, { options: { maxPayload: 64 * 1024 } });
  closeRefusedUpgrades(app);
  await app.register(async (scope) => {
    bootFileRoutes(scope, context);
  });
  await app.register(async (scope) => {
    measureRequests(scope, context.metrics);
    for (const routes of [
      backendRoutes,
      bootScriptRoutes,
      eventRoutes,
      fileRoutes,
      hostFileRoutes,
      keyRoutes,
      legacyUploadRoutes,
      nodeRoutes,
      operationRoutes,
      settingsRoutes,
      systemRoutes,
      transferRoutes,
      tusRoutes,
      uploadBatchRoutes,
      uploadRoutes,
      vaultRoutes,
      workflowRoutes,
    ]) {
      routes(scope, context);
    }
  });
}
