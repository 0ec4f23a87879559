import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backend, backendCreate, backendPatch, httpConfig } from './backends.ts';
import { bootQuery, machineText } from './boot.ts';
import { backfillRequest } from './checksums.ts';
import { event, eventQuery, eventScopes, eventTypes } from './events.ts';
import { batchDelete, fileListQuery } from './files.ts';
import { apiKeyCreate } from './keys.ts';
import { nodeCreate, nodePatch } from './nodes.ts';
import { operationListQuery } from './operations.ts';
import { fieldProblems } from './problem.ts';
import { defaultSettings, privateNetworks, settingsPatch } from './settings.ts';

describe('backends', () => {
  it('keep a secret out of what is shown', () => {
    const common = {
      id: '1',
      name: 'web',
      status: 'online',
      status_message: null,
      capabilities: { writable: false, move: false, copy: false, folders: false, usage: false },
      mount_point: null,
      stats: { used_bytes: null, total_bytes: null, file_count: 0, template_count: 0 },
      checked_at: null,
      created_at: '2026-01-01T00:00:00Z',
      updated_at: '2026-01-01T00:00:00Z',
    };
    const config = httpConfig.parse({ base_url: 'http://files.lab', auth_method: 'basic', username: 'u' });
    const shown = { ...config, has_password: true };
    expect(backend.parse({ ...common, type: 'http', config: shown }).config).toEqual(shown);
    const leaking = { ...shown, password: 'p' };
    expect(backend.safeParse({ ...common, type: 'http', config: leaking }).success).toBe(false);
  });

  it('take a local one with an absolute root', () => {
    const body = { name: 'main', type: 'local', config: { root: '/srv/files' } };
    expect(backendCreate.parse(body)).toEqual(body);
    expect(backendCreate.safeParse({ ...body, config: { root: 'files' } }).success).toBe(false);
    expect(backendCreate.safeParse({ ...body, config: { root: '/a\0b' } }).success).toBe(false);
  });

  it('say which types there are', () => {
    const { error } = backendCreate.safeParse({ name: 'x', type: 'ftp', config: {} });
    expect(error && fieldProblems(error)).toEqual([
      { field: 'type', message: 'must be one of: local, nfs, http, s3, iscsi' },
    ]);
  });

  it('change in parts, but not their type', () => {
    expect(backendPatch.parse({ config: {} })).toEqual({ config: {} });
    expect(backendPatch.safeParse({ type: 'local' }).success).toBe(false);
    expect(backendPatch.safeParse({ config: { root: { nested: true } } }).success).toBe(false);
  });
});

describe('files', () => {
  it('list the root when no folder is named', () => {
    expect(fileListQuery.parse({ recursive: '1', limit: '7' })).toEqual({
      path: '/',
      recursive: true,
      limit: 7,
    });
  });

  it.each([0, 1001])('are not deleted in batches of %i', (length) => {
    expect(batchDelete.safeParse({ paths: Array.from({ length }, () => '/a') }).success).toBe(false);
  });

  it.each([1, 1000])('are deleted in batches of %i', (length) => {
    expect(batchDelete.safeParse({ paths: Array.from({ length }, () => '/a') }).success).toBe(true);
  });
});

describe('settings', () => {
  it('let private, loopback and link-local networks boot, and keep the log for 90 days', () => {
    expect(defaultSettings()).toEqual({
      default_boot_backend_id: null,
      default_ingest_backend_id: null,
      anonymous_boot_networks: [...privateNetworks],
      file_serving_bandwidth_mbps: 1000,
      min_transfer_mbps: 1,
      per_client_mbps: null,
      busy_above_transfers: 1000,
      upload_session_ttl_seconds: 3600,
      deleted_file_retention_days: 30,
      operation_retention_days: 90,
    });
  });

  it('change only what is named, and no default sneaks in', () => {
    expect(settingsPatch.parse({})).toEqual({});
    expect(settingsPatch.parse({ default_boot_backend_id: null, anonymous_boot_networks: [] })).toEqual({
      default_boot_backend_id: null,
      anonymous_boot_networks: [],
    });
  });

  it.each([
    '10.0.0.0/8',
    '0.0.0.0/0',
    '10.0.0.5/32',
    '::/0',
    'fd12:3456::/48',
    '::1/128',
    '::ffff:10.0.0.0/104',
  ])('take the network %s', (network) => {
    expect(settingsPatch.safeParse({ anonymous_boot_networks: [network] }).success).toBe(true);
  });

  it.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0/8',
    '256.0.0.0/8',
    '::1/129',
    'fe80::1%eth0/64',
    '10.0.0.0/8 ',
    'all',
  ])('refuse the network %j and name it', (network) => {
    const { error } = settingsPatch.safeParse({ anonymous_boot_networks: ['10.0.0.0/8', network] });
    const [first] = error === undefined ? [] : fieldProblems(error);
    expect(first?.field).toBe('anonymous_boot_networks.1');
    expect(first?.message).toContain('CIDR');
  });

  it('refuse what this version does not have', () => {
    expect(settingsPatch.safeParse({ max_uploads: 10 }).success).toBe(false);
    expect(settingsPatch.safeParse({ file_serving_bandwidth_mbps: 0.5 }).success).toBe(false);
    expect(settingsPatch.safeParse({ operation_retention_days: 0 }).success).toBe(false);
    expect(settingsPatch.safeParse({ upload_session_ttl_seconds: 59 }).success).toBe(false);
    expect(settingsPatch.safeParse({ deleted_file_retention_days: -1 }).success).toBe(false);
    expect(settingsPatch.parse({ deleted_file_retention_days: 0 })).toEqual({
      deleted_file_retention_days: 0,
    });
  });
});

describe('nodes', () => {
  const mac = '52-54-00-AB-CD-EF';

  it('wait for their workflow when they are made with one', () => {
    expect(nodeCreate.parse({ mac })).toEqual({
      mac: '52:54:00:ab:cd:ef',
      name: null,
      state: 'discovered',
      workflow_id: null,
      arch: null,
    });
    expect(nodeCreate.parse({ mac, workflow_id: 'w' }).state).toBe('pending');
    expect(nodeCreate.parse({ mac, workflow_id: 'w', state: 'ignored' }).state).toBe('ignored');
  });

  it('refuse unknown states and fields', () => {
    expect(nodePatch.safeParse({ state: 'broken' }).success).toBe(false);
    expect(nodePatch.safeParse({ mac }).success).toBe(false);
    expect(nodePatch.parse({ name: null, workflow_id: null })).toEqual({ name: null, workflow_id: null });
  });
});

describe('what a machine says about itself', () => {
  it('is cleaned instead of refused', () => {
    expect(bootQuery.parse({ mac: '525400abcdef', serial: ' A\n1\u2028 ', vendor: '', other: 'x' })).toEqual({
      mac: '52:54:00:ab:cd:ef',
      serial: 'A1',
    });
  });

  it('is one line of at most 200 characters, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const clean = machineText.parse(text);
        if (clean === undefined) return;
        expect(clean).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        expect(clean.length).toBeGreaterThan(0);
        expect(Array.from(clean).length).toBeLessThanOrEqual(200);
        expect(machineText.parse(clean)).toBe(clean);
      }),
    );
  });
});

describe('API keys', () => {
  it('reach everything and last for ever when nothing else is said', () => {
    expect(apiKeyCreate.parse({ name: 'ci', scopes: ['files:read'] })).toEqual({
      name: 'ci',
      scopes: ['files:read'],
      backend_id: null,
      path_prefix: null,
      hostname: null,
      quota_bytes: null,
      quota_files: null,
      expires_at: null,
    });
  });

  it('may be limited to a machine, and in what they keep', () => {
    const limits = { hostname: 'build-7.lab.example', quota_bytes: 2 ** 53 - 1, quota_files: 0 };
    expect(apiKeyCreate.parse({ name: 'agent', scopes: ['files:write'], ...limits })).toMatchObject(limits);
  });

  it.each([
    ['hostname', 'two words'],
    ['hostname', ''],
    ['quota_bytes', -1],
    ['quota_bytes', 1.5],
    ['quota_bytes', '5 GB'],
    ['quota_files', -1],
    ['quota_files', 2 ** 53],
  ])('refuse %s %j and name it', (field, value) => {
    const { error } = apiKeyCreate.safeParse({ name: 'x', scopes: ['files:write'], [field]: value });
    expect(error && fieldProblems(error).map((problem) => problem.field)).toEqual([field]);
  });

  it('hold known scopes, each once, and at least one', () => {
    expect(apiKeyCreate.safeParse({ name: 'x', scopes: [] }).success).toBe(false);
    expect(apiKeyCreate.safeParse({ name: 'x', scopes: ['root'] }).success).toBe(false);
    expect(apiKeyCreate.safeParse({ name: 'x', scopes: ['admin', 'admin'] }).success).toBe(false);
  });

  it('hold no scope that reaches past their limit', () => {
    const limited = { name: 'x', path_prefix: '/team' };
    const { error } = apiKeyCreate.safeParse({ ...limited, scopes: ['files:read', 'admin', 'boot:write'] });
    expect(error && fieldProblems(error)).toEqual([
      {
        field: 'scopes',
        message: 'must not hold admin, boot:write when backend_id or path_prefix limits the key',
      },
    ]);
    expect(apiKeyCreate.safeParse({ ...limited, scopes: ['files:read', 'files:write'] }).success).toBe(true);
  });
});

describe('operations and checksums', () => {
  it('filter by yes or no and by time', () => {
    expect(
      operationListQuery.parse({ success: '0', since: '2026-01-01T00:00:00Z', operation: 'verify' }),
    ).toEqual({
      limit: 100,
      success: false,
      since: '2026-01-01T00:00:00.000Z',
      operation: 'verify',
    });
  });

  it('fill in how a backfill goes', () => {
    expect(backfillRequest.parse({})).toEqual({ batch_size: 100, dry_run: false });
    expect(backfillRequest.safeParse({ rate_limit_mbps: 0 }).success).toBe(false);
  });
});

describe('events', () => {
  it('are filtered by a list of types', () => {
    expect(eventQuery.parse({ types: 'file.changed, node.seen' }).types).toEqual([
      'file.changed',
      'node.seen',
    ]);
    expect(eventQuery.parse({}).types).toBeUndefined();
    expect(eventQuery.safeParse({ types: 'file.changed,upload.started' }).success).toBe(true);
    expect(eventQuery.safeParse({ types: 'file.changed,upload.begun' }).success).toBe(false);
    expect(eventQuery.safeParse({ types: '' }).success).toBe(false);
  });

  it('have one schema and one scope for each type', () => {
    expect(event.options.map((option) => option.shape.type.value)).toEqual([...eventTypes]);
    expect(Object.keys(eventScopes)).toEqual([...eventTypes]);
  });
});
