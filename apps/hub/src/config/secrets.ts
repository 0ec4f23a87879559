import { createHash, createHmac, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { HoldfastError } from '@holdfast/contract/errors';

/** What seals backend secrets; never logged, never returned. */
export interface HubSecrets {
  /** 32 bytes for AES-256-GCM. */
  sealingKey: Buffer;
  /** Tells two sealing keys apart without revealing either; kept in the catalog. */
  sealingKeyCheck: string;
}

/**
 * The sealing key: HOLDFAST_SECRET_KEY when it is set, else `secret.key` in the data directory (0600, made when missing).
 * @throws HoldfastError `validation_failed` when the file cannot be read or is too short
 */
export function loadSecrets(dataDir: string, secretKey: string | null): HubSecrets {
  const source =
    secretKey ?? readOrCreateOnce(join(dataDir, 'secret.key'), () => randomBytes(32).toString('base64url'));
  if (source.length < 32) {
    throw new HoldfastError(
      'validation_failed',
      `The secret key in ${join(dataDir, 'secret.key')} is too short; restore it from a backup.`,
    );
  }
  const sealingKey = createHash('sha256').update('holdfast sealing key\0').update(source).digest();
  return { sealingKey, sealingKeyCheck: createHmac('sha256', sealingKey).update('check').digest('hex') };
}

/** Reads a small 0600 file, or makes it durably with `create`; of two processes at once, one wins and both read it. */
export function readOrCreateOnce(file: string, create: () => string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
      throw new HoldfastError('validation_failed', `${file} cannot be read; check its owner and mode.`, {
        cause: error,
      });
    }
  }
  const staged = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const fd = openSync(staged, 'wx', 0o600);
  try {
    writeSync(fd, `${create()}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  chmodSync(staged, 0o600);
  try {
    linkSync(staged, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    unlinkSync(staged);
  }
  const folder = openSync(join(file, '..'), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return readFileSync(file, 'utf8').trim();
}
