import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { makeTempDir, type TempDir } from '@holdfast/test-support/temp-dir';
import { CommandLineExit, loadConfig, type HubConfig } from './config.ts';

let folder: TempDir;
beforeAll(async () => {
  folder = await makeTempDir('config');
});
afterAll(() => folder[Symbol.asyncDispose]());

interface Sources {
  argv?: string[];
  env?: Record<string, string>;
  toml?: string;
}

let files = 0;
async function load({ argv = [], env = {}, toml }: Sources): Promise<HubConfig> {
  if (toml === undefined) return loadConfig({ argv, env, cwd: folder.path, version: '1.2.3' });
  files += 1;
  const file = folder.join(`config-${files}.toml`);
  await writeFile(file, toml);
  return loadConfig({ argv: ['--config', file, ...argv], env, cwd: folder.path, version: '1.2.3' });
}

async function problemsOf(sources: Sources): Promise<string> {
  const error: unknown = await load(sources).then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  if (!isHoldfastError(error, 'validation_failed')) throw new Error(`not a refusal: ${String(error)}`);
  return error.message;
}

describe('the configuration', () => {
  it('has a default for everything', async () => {
    expect(await load({})).toEqual({
      dataDir: folder.join('data'),
      host: '127.0.0.1',
      port: 8080,
      publicUrl: null,
      databaseUrl: `sqlite:${folder.join('data/holdfast.db')}`,
      adminKey: null,
      secretKey: null,
      tftp: null,
      tls: null,
      logLevel: 'info',
    });
  });

  it('takes flags over the environment over the file over defaults', async () => {
    const toml = 'port = 1\nhost = "toml"\nlog_level = "error"\ndata = "from-toml"';
    const env = { HOLDFAST_PORT: '2', HOLDFAST_HOST: 'env' };
    const config = await load({ argv: ['--port', '3'], env, toml });
    expect(config).toMatchObject({
      port: 3,
      host: 'env',
      logLevel: 'error',
      dataDir: folder.join('from-toml'),
    });
  });

  it('takes an empty variable for none', async () => {
    expect((await load({ env: { HOLDFAST_PORT: '', HOLDFAST_PUBLIC_URL: '' } })).port).toBe(8080);
  });

  it('knows every setting by flag, variable and key alike', async () => {
    const byFlag = [
      '--data',
      'd',
      '--host',
      'h',
      '--port',
      '0',
      '--public-url',
      'https://boot.example.org/',
      '--database-url',
    ];
    byFlag.push('postgres://db/hub', '--tls-cert', 'c.pem', '--tls-key', 'k.pem', '--log-level', 'debug');
    const byEnv = {
      HOLDFAST_DATA: 'd',
      HOLDFAST_HOST: 'h',
      HOLDFAST_PORT: '0',
      HOLDFAST_PUBLIC_URL: 'https://boot.example.org/',
      HOLDFAST_DATABASE_URL: 'postgres://db/hub',
      HOLDFAST_TLS_CERT: 'c.pem',
      HOLDFAST_TLS_KEY: 'k.pem',
      HOLDFAST_LOG_LEVEL: 'debug',
    };
    const toml = Object.entries(byEnv).map(([name, value]) => {
      const key = name.slice('HOLDFAST_'.length).toLowerCase();
      return `${key} = ${key === 'port' ? value : JSON.stringify(value)}`;
    });
    const expected = {
      dataDir: folder.join('d'),
      host: 'h',
      port: 0,
      publicUrl: 'https://boot.example.org',
      databaseUrl: 'postgres://db/hub',
      tls: { certFile: folder.join('c.pem'), keyFile: folder.join('k.pem') },
      logLevel: 'debug',
    };
    expect(await load({ argv: byFlag })).toMatchObject(expected);
    expect(await load({ env: byEnv })).toMatchObject(expected);
    expect(await load({ toml: toml.join('\n') })).toMatchObject(expected);
  });

  it('is read from holdfast.toml in the working folder, or where HOLDFAST_CONFIG says', async () => {
    await using work = await makeTempDir('config-cwd');
    await writeFile(work.join('holdfast.toml'), 'port = 4');
    await writeFile(work.join('other.toml'), 'port = 5');
    const from = (env: Record<string, string>): number =>
      loadConfig({ argv: [], env, cwd: work.path, version: '1' }).port;
    expect(from({})).toBe(4);
    expect(from({ HOLDFAST_CONFIG: 'other.toml' })).toBe(5);
    expect(() => from({ HOLDFAST_CONFIG: 'missing.toml' })).toThrow(
      `${work.join('missing.toml')} cannot be read`,
    );
  });
});

describe('a refused setting', () => {
  it.each<[string, Sources, string]>([
    ['a flag', { argv: ['--port', '70000'] }, '--port:'],
    ['a variable', { env: { HOLDFAST_PORT: 'eighty' } }, 'HOLDFAST_PORT:'],
    ['a key of the file', { toml: 'port = -1' }, 'holdfast.toml: port:'],
    [
      'a flag over a variable',
      { argv: ['--log-level', 'loud'], env: { HOLDFAST_LOG_LEVEL: 'info' } },
      '--log-level:',
    ],
    [
      'a URL',
      { env: { HOLDFAST_PUBLIC_URL: 'boot.example.org' } },
      'HOLDFAST_PUBLIC_URL: must be an http:// or https:// URL',
    ],
    ['a URL with a path', { argv: ['--public-url', 'http://boot.example.org/hub'] }, '--public-url: must be'],
    [
      'a URL with a user',
      { toml: 'public_url = "http://me@boot.example.org"' },
      'holdfast.toml: public_url: must be',
    ],
    [
      'a database',
      { argv: ['--database-url', 'mysql://x'] },
      '--database-url: must start with postgres:// or sqlite:',
    ],
    [
      'a short key',
      { env: { HOLDFAST_ADMIN_KEY: 'short' } },
      'HOLDFAST_ADMIN_KEY: must be 32 characters or more',
    ],
    [
      'a key that no header can carry',
      { env: { HOLDFAST_ADMIN_KEY: 'correct horse battery staple, and more of it' } },
      'HOLDFAST_ADMIN_KEY: must be of letters, digits and -._~+/ only',
    ],
    [
      'a short secret',
      { toml: 'secret_key = "short"' },
      'holdfast.toml: secret_key: must be 32 characters or more',
    ],
    ['the wrong type', { toml: 'host = 5' }, 'holdfast.toml: host:'],
    [
      'a blank port',
      { env: { HOLDFAST_PORT: ' ' } },
      'HOLDFAST_PORT: must be a whole number from 0 to 65535',
    ],
    [
      'a port that is true',
      { toml: 'port = true' },
      'holdfast.toml: port: must be a whole number from 0 to 65535',
    ],
    ['a hexadecimal port', { argv: ['--port', '0x50'] }, '--port: must be a whole number from 0 to 65535'],
  ])('is named as its user wrote it: %s', async (_, sources, named) => {
    expect(await problemsOf(sources)).toContain(named);
  });

  it('does not show a secret', async () => {
    const text = await problemsOf({ env: { HOLDFAST_ADMIN_KEY: 'hunter2', HOLDFAST_SECRET_KEY: 'hunter3' } });
    expect(text).toContain('HOLDFAST_SECRET_KEY');
    expect(text).not.toContain('hunter');
  });

  it('is told together with all others', async () => {
    const text = await problemsOf({ env: { HOLDFAST_PORT: 'x', HOLDFAST_LOG_LEVEL: 'y' } });
    expect(text).toMatch(/HOLDFAST_PORT: .*; HOLDFAST_LOG_LEVEL: /);
  });

  it.each<[Record<string, string>]>([[{ HOLDFAST_TLS_CERT: 'c.pem' }], [{ HOLDFAST_TLS_KEY: 'k.pem' }]])(
    'is half of the TLS pair: %j',
    async (env) => {
      expect(await problemsOf({ env })).toContain('HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY go together');
    },
  );

  it('is a key that the file does not know, with those that it does', async () => {
    const text = await problemsOf({ toml: 'prot = 80\nhost = "x"' });
    expect(text).toContain('unknown keys: prot.');
    expect(text).toContain('Known keys: data, host, port');
  });

  it('is a file that is no TOML', async () => {
    expect(await problemsOf({ toml: 'port = = 1' })).toContain('is not valid TOML');
  });

  it('is a file that was asked for and is not there', async () => {
    expect(await problemsOf({ argv: ['--config', '/not/there.toml'] })).toContain(
      '/not/there.toml cannot be read',
    );
  });
});

describe('the command line', () => {
  function run(...argv: string[]): { exitCode: number | undefined; printed: string } {
    let printed = '';
    const write = (text: string | Uint8Array): boolean => {
      printed += String(text);
      return true;
    };
    const spies = [
      vi.spyOn(process.stdout, 'write').mockImplementation(write),
      vi.spyOn(process.stderr, 'write').mockImplementation(write),
    ];
    try {
      loadConfig({ argv, env: {}, cwd: folder.path, version: '1.2.3' });
      return { exitCode: undefined, printed };
    } catch (error) {
      if (!(error instanceof CommandLineExit)) throw error;
      return { exitCode: error.exitCode, printed };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  it('tells its version and its help, the variables included', () => {
    expect(run('--version')).toEqual({ exitCode: 0, printed: '1.2.3\n' });
    const help = run('--help');
    expect(help.exitCode).toBe(0);
    for (const name of [
      '--port <number>',
      '--tls-cert <file>',
      'HOLDFAST_ADMIN_KEY',
      'HOLDFAST_SECRET_KEY',
    ]) {
      expect(help.printed).toContain(name);
    }
  });

  it.each([['--unknown'], ['extra'], ['--port']])('is refused with %s', (...argv) => {
    const { exitCode, printed } = run(...argv);
    expect(exitCode).toBe(2);
    expect(printed).toContain('error:');
  });

  it('takes no secret, because others can read it', () => {
    expect(run('--admin-key', 'x'.repeat(32)).exitCode).toBe(2);
    expect(run('--secret-key', 'x'.repeat(32)).exitCode).toBe(2);
  });

  it('resolves relative folders from the working folder', async () => {
    expect((await load({ argv: ['--data', '../elsewhere'] })).dataDir).toBe(
      join(folder.path, '../elsewhere'),
    );
  });
});
