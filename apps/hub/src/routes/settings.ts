import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Settings } from '@holdfast/contract/settings';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { success } from './views.ts';

export function settingsRoutes(app: FastifyInstance, { settings, backends }: HubContext): void {
  mount(app, endpoints.getSettings, async () => success(settings.current));

  mount(app, endpoints.updateSettings, async ({ body }) => {
    for (const field of ['default_boot_backend_id', 'default_ingest_backend_id'] as const) {
      const id = body[field];
      if (id === undefined || id === null || backends.find(id) !== undefined) continue;
      throw new HoldfastError('validation_failed', `${field}: there is no backend with the id ${id}.`, {
        errors: [{ field, message: 'does not exist' }],
      });
    }
    const change = Object.fromEntries(
      Object.entries(body).filter(([, value]) => value !== undefined),
    ) as Partial<Settings>;
    return success(await settings.update(change));
  });
}
