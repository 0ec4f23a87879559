import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { parseServer } from '@holdfast/boot/server-address';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';

/** Everything the hub is told from outside. Secrets stay out of it: see secrets.ts. */
export interface HubConfig {
  /** Absolute path of the data directory. */
  dataDir: string;
  host: string;
  /** 0: any free port. */
  port: number;
  /** The URL that boot scripts point to, without a trailing slash; null: taken from each request. */
  publicUrl: string | null;
  /** `sqlite:…` or `postgres://…`. */
  databaseUrl: string;
  /** The first administrator's API key when it was given; null: generated at the first start. */
  adminKey: string | null;
  /** The sealing key's source when it was given; null: a file in the data directory. */
  secretKey: string | null;
  /** Where to answer TFTP; null: not at all. Port 0 takes any free one. */
  tftp: { host: string; port: number; singlePort: boolean } | null;
  tls: { certFile: string; keyFile: string } | null;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/** Name of each setting as flag, environment variable and key of holdfast.toml, with what it means. */
const settings = [
  { key: 'data', env: 'HOLDFAST_DATA', flag: '--data <folder>', help: 'data directory (default ./data)' },
  {
    key: 'host',
    env: 'HOLDFAST_HOST',
    flag: '--host <address>',
    help: 'address to listen on (default 127.0.0.1)',
  },
  {
    key: 'port',
    env: 'HOLDFAST_PORT',
    flag: '--port <number>',
    help: 'port to listen on, 0 for any free one (default 8080)',
  },
  {
    key: 'tftp_host',
    env: 'HOLDFAST_TFTP_HOST',
    flag: '--tftp-host <address>',
    help: 'address to answer TFTP on (default 127.0.0.1)',
  },
  {
    key: 'tftp_port',
    env: 'HOLDFAST_TFTP_PORT',
    flag: '--tftp-port <number>',
    help: 'port to answer TFTP on: 69 for firmware, 0 for any free one (default: no TFTP)',
  },
  {
    key: 'tftp_single_port',
    env: 'HOLDFAST_TFTP_SINGLE_PORT',
    flag: '--tftp-single-port <yes|no>',
    help: 'all TFTP transfers over that one port, for NAT and Kubernetes (default no)',
  },
  {
    key: 'public_url',
    env: 'HOLDFAST_PUBLIC_URL',
    flag: '--public-url <url>',
    help: 'the URL that boot scripts point to',
  },
  {
    key: 'database_url',
    env: 'HOLDFAST_DATABASE_URL',
    flag: '--database-url <url>',
    help: 'postgres://… (default: SQLite in the data directory)',
  },
  { key: 'admin_key', env: 'HOLDFAST_ADMIN_KEY', flag: null, help: '' },
  { key: 'secret_key', env: 'HOLDFAST_SECRET_KEY', flag: null, help: '' },
  {
    key: 'tls_cert',
    env: 'HOLDFAST_TLS_CERT',
    flag: '--tls-cert <file>',
    help: 'certificate chain in PEM; reloaded when it changes',
  },
  {
    key: 'tls_key',
    env: 'HOLDFAST_TLS_KEY',
    flag: '--tls-key <file>',
    help: 'private key in PEM; reloaded when it changes',
  },
  {
    key: 'log_level',
    env: 'HOLDFAST_LOG_LEVEL',
    flag: '--log-level <level>',
    help: 'trace, debug, info, warn, error or silent (default info)',
  },
] as const;

type SettingKey = (typeof settings)[number]['key'];

const portProblem = 'must be a whole number from 0 to 65535';
/** Digits or a number alone: a blank, `true` or `0x50` would otherwise count as numbers too. */
const portSchema = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], portProblem)
  .pipe(z.int(portProblem).min(0, portProblem).max(65_535, portProblem));
const publicUrl = z
  .string()
  .transform((url) => url.replace(/\/+$/, ''))
  .refine(
    isServerAddress,
    'must be an http:// or https:// URL of host and port alone, like http://boot.example.org:8080',
  );
const valuesSchema = z.object({
  data: z.string().min(1).default('./data'),
  host: z.string().min(1).default('127.0.0.1'),
  port: portSchema.default(8080),
  tftp_host: z.string().min(1).default('127.0.0.1'),
  tftp_port: portSchema.optional(),
  tftp_single_port: z
    .union([z.boolean(), z.enum(['yes', 'no', 'true', 'false', '1', '0'])])
    .transform((value) => value === true || value === 'yes' || value === 'true' || value === '1')
    .default(false),
  public_url: publicUrl.optional(),
  database_url: z
    .string()
    .regex(/^(postgres|postgresql):\/\/|^sqlite:/, 'must start with postgres:// or sqlite:')
    .optional(),
  // What may stand behind `Bearer` in a header (RFC 6750 §2.1).
  admin_key: z
    .string()
    .min(32, 'must be 32 characters or more')
    .max(1024)
    .regex(/^[\w.~+/-]+=*$/, 'must be of letters, digits and -._~+/ only, without spaces')
    .optional(),
  secret_key: z.string().min(32, 'must be 32 characters or more').optional(),
  tls_cert: z.string().min(1).optional(),
  tls_key: z.string().min(1).optional(),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

/** The command line asked for help or the version, or was refused; the text was already printed. */
export class CommandLineExit extends Error {
  readonly exitCode: number;
  constructor(exitCode: number) {
    super('command line');
    this.exitCode = exitCode;
  }
}

export interface ConfigSources {
  /** Arguments after the program's name. */
  argv: string[];
  env: Record<string, string | undefined>;
  /** Relative paths are resolved from here. */
  cwd: string;
  version: string;
}

/**
 * Flags over environment over `holdfast.toml` over defaults.
 * @throws HoldfastError `validation_failed` naming the setting as its user wrote it
 */
export function loadConfig({ argv, env, cwd, version }: ConfigSources): HubConfig {
  const flags = parseFlags(argv, version);
  const fileName = flags['config'] ?? env['HOLDFAST_CONFIG'];
  const fromFile = readTomlFile(resolve(cwd, fileName ?? 'holdfast.toml'), fileName !== undefined);
  const values: Partial<Record<SettingKey, unknown>> = {};
  const origin: Partial<Record<string, string>> = {};
  for (const { key, env: variable } of settings) {
    const flag = flags[camelCase(key)];
    const fromEnv = env[variable] === '' ? undefined : env[variable];
    if (flag !== undefined) [values[key], origin[key]] = [flag, `--${key.replaceAll('_', '-')}`];
    else if (fromEnv !== undefined) [values[key], origin[key]] = [fromEnv, variable];
    else if (fromFile[key] !== undefined)
      [values[key], origin[key]] = [fromFile[key], `holdfast.toml: ${key}`];
  }
  const parsed = valuesSchema.safeParse(values);
  if (!parsed.success) {
    const errors = parsed.error.issues.map((issue) => ({
      field: origin[String(issue.path[0])] ?? String(issue.path[0]),
      message: issue.message,
    }));
    throw new HoldfastError('validation_failed', errors.map((e) => `${e.field}: ${e.message}`).join('; '), {
      errors,
    });
  }
  const value = parsed.data;
  if ((value.tls_cert === undefined) !== (value.tls_key === undefined)) {
    throw new HoldfastError(
      'validation_failed',
      'HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY go together: set both or none.',
    );
  }
  const dataDir = resolve(cwd, value.data);
  return {
    dataDir,
    host: value.host,
    port: value.port,
    publicUrl: value.public_url ?? null,
    databaseUrl: value.database_url ?? `sqlite:${resolve(dataDir, 'holdfast.db')}`,
    adminKey: value.admin_key ?? null,
    secretKey: value.secret_key ?? null,
    tftp:
      value.tftp_port === undefined
        ? null
        : { host: value.tftp_host, port: value.tftp_port, singlePort: value.tftp_single_port },
    tls:
      value.tls_cert !== undefined && value.tls_key !== undefined
        ? { certFile: resolve(cwd, value.tls_cert), keyFile: resolve(cwd, value.tls_key) }
        : null,
    logLevel: value.log_level,
  };
}

/** Boot loaders take no other address: better refused here than in every boot script. */
function isServerAddress(url: string): boolean {
  try {
    parseServer(url);
    return true;
  } catch (error) {
    if (!isHoldfastError(error, 'invalid_request')) throw error;
    return false;
  }
}

function parseFlags(argv: string[], version: string): Record<string, string | undefined> {
  const command = new Command('holdfast-hub')
    .description('Starts a Holdfast hub: one place for every file that machines need.')
    .version(version)
    .option('--config <file>', 'configuration file (default ./holdfast.toml when it is there)')
    .exitOverride()
    .allowExcessArguments(false);
  for (const { flag, help } of settings) {
    if (flag !== null) command.option(flag, help);
  }
  command.addHelpText(
    'after',
    `\nEnvironment:\n${settings.map((s) => `  ${s.env}`).join('\n')}\n\nSecrets (HOLDFAST_ADMIN_KEY, HOLDFAST_SECRET_KEY) have no flag, because command lines are visible to others.`,
  );
  try {
    command.parse(argv, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) throw new CommandLineExit(error.exitCode === 0 ? 0 : 2);
    if (error instanceof InvalidArgumentError) throw new CommandLineExit(2);
    throw error;
  }
  return command.opts<Record<string, string | undefined>>();
}

function readTomlFile(file: string, required: boolean): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (!required && error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new HoldfastError('validation_failed', `The configuration file ${file} cannot be read.`, {
      cause: error,
    });
  }
  let table: Record<string, unknown>;
  try {
    table = parseToml(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError('validation_failed', `${file} is not valid TOML: ${reason}`, { cause: error });
  }
  const known = new Set<string>(settings.map((s) => s.key));
  const unknown = Object.keys(table).filter((key) => !known.has(key));
  if (unknown.length > 0) {
    throw new HoldfastError(
      'validation_failed',
      `${file} has unknown keys: ${unknown.join(', ')}. Known keys: ${[...known].join(', ')}.`,
    );
  }
  return table;
}

function camelCase(key: string): string {
  return key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}
