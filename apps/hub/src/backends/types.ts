import { sha256Hex } from '@holdfast/bytes/sha256';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  backendConfigs,
  httpConfig,
  iscsiConfig,
  localConfig,
  nfsConfig,
  s3Config,
  type BackendType,
} from '@holdfast/contract/backends';
import type { JsonObject } from '@holdfast/contract/json';
import type { StorageBackend } from '@holdfast/storage/backend';
import { createLocalBackend, prepareLocalRoot } from '@holdfast/storage/local';

/** What a backend type needs of its hub. */
export interface Surroundings {
  /** This hub's id: marks what it stages. */
  hubId: string;
  /** Absolute; folders for mount points and sockets are made in it. */
  dataDir: string;
  logger: Logger;
}

/** A configuration with its secrets in the clear; it never leaves this room. */
export interface BackendMaterial extends Surroundings {
  config: JsonObject;
  volumeId: string;
}

export interface PrepareOptions extends Surroundings {
  /** Make the folder (local), or the file system (iscsi), that is not there yet. */
  create: boolean;
}

export interface BackendTypeDefinition {
  /** Fields of `config` that are sealed in the catalog and shown only as `has_<field>`. */
  secretFields: readonly string[];
  /** Checks a new or changed configuration against the world and marks the volume; resolves to its id. */
  prepare(config: JsonObject, options: PrepareOptions): Promise<{ volumeId: string }>;
  open(material: BackendMaterial): Promise<StorageBackend>;
}

/** The client of a network storage is loaded with the first backend of its type: most hubs need one or two of them. */
const definitions: Record<BackendType, BackendTypeDefinition> = {
  local: {
    secretFields: [],
    prepare: (config, { create }) => prepareLocalRoot({ root: localConfig.parse(config).root, create }),
    open: async ({ config, volumeId, hubId }) =>
      createLocalBackend({ root: localConfig.parse(config).root, volumeId, ownerId: hubId }),
  },
  nfs: {
    secretFields: [],
    prepare: async (config, options) => {
      const { prepareNfs } = await import('@holdfast/storage/nfs');
      return prepareNfs(nfsConfig.parse(config), nfsSurroundings(options));
    },
    open: async ({ config, volumeId, ...surroundings }) => {
      const { createNfsBackend } = await import('@holdfast/storage/nfs');
      return createNfsBackend({ ...nfsConfig.parse(config), volumeId, ...nfsSurroundings(surroundings) });
    },
  },
  http: {
    secretFields: ['password'],
    prepare: async (config) => {
      const { prepareHttp } = await import('@holdfast/storage/http');
      return prepareHttp(httpConfig.parse(config));
    },
    open: async (material) => {
      const { createHttpBackend } = await import('@holdfast/storage/http');
      return createHttpBackend({ ...httpConfig.parse(material.config), ...remoteMaterial(material) });
    },
  },
  s3: {
    secretFields: ['secret_access_key'],
    prepare: async (config) => {
      const { prepareS3 } = await import('@holdfast/storage/s3');
      return prepareS3(s3Config.parse(config));
    },
    open: async (material) => {
      const { createS3Backend } = await import('@holdfast/storage/s3');
      return createS3Backend({ ...s3Config.parse(material.config), ...remoteMaterial(material) });
    },
  },
  iscsi: {
    secretFields: ['chap_password'],
    prepare: async (config, { create, ...surroundings }) => {
      const { prepareIscsi } = await import('@holdfast/storage/iscsi');
      return prepareIscsi(iscsiConfig.parse(config), { ...iscsiSurroundings(surroundings), format: create });
    },
    open: async ({ config, volumeId, ...surroundings }) => {
      const { createIscsiBackend } = await import('@holdfast/storage/iscsi');
      return createIscsiBackend({
        ...iscsiConfig.parse(config),
        volumeId,
        ...iscsiSurroundings(surroundings),
      });
    },
  },
};

export function definitionOf(type: BackendType): BackendTypeDefinition {
  return definitions[type];
}

/** A stored configuration once a change is merged into it. @throws ZodError */
export function parseConfig(type: BackendType, config: JsonObject): JsonObject {
  return z.object({ config: backendConfigs[type] }).parse({ config }).config;
}

function remoteMaterial({ volumeId, hubId, dataDir, logger }: BackendMaterial): {
  volumeId: string;
  ownerId: string;
  logger: Logger;
  spoolDir: string;
} {
  // The id comes from the storage, so it is no name of a folder: a hash of it is. It stays when the backend is set up anew.
  const spoolDir = resolve(dataDir, 'spool', sha256Hex(volumeId).slice(0, 16));
  return { volumeId, ownerId: hubId, logger, spoolDir };
}

function nfsSurroundings({ hubId, dataDir }: Surroundings): { ownerId: string; mountRoot: string } {
  return { ownerId: hubId, mountRoot: resolve(dataDir, 'mounts') };
}

function iscsiSurroundings({ hubId, dataDir, logger }: Surroundings): {
  ownerId: string;
  stateDir: string;
  logger: Logger;
} {
  return { ownerId: hubId, stateDir: resolve(dataDir, 'iscsi'), logger };
}
