import { isHoldfastError } from '@holdfast/contract/errors';
import { banner } from './banner.ts';
import { CommandLineExit, loadConfig } from './config/config.ts';
import { startHub, type RunningHub } from './start.ts';
import { version } from './version.ts';

async function main(): Promise<void> {
  const config = loadConfig({ argv: process.argv.slice(2), env: process.env, cwd: process.cwd(), version });
  const hub = await startHub(config);
  stopOnSignal(hub);
  const { generatedAdminKey } = hub.context;
  if (process.stdout.isTTY) {
    process.stdout.write(banner(hub.url, hub.tftp, config.dataDir, generatedAdminKey));
    return;
  }
  if (generatedAdminKey !== null) {
    process.stderr.write(`The administrator's API key, shown this once: ${generatedAdminKey}\n`);
  }
  process.stdout.write(
    `${JSON.stringify({ event: 'ready', url: hub.url, ...(hub.tftp === null ? {} : { tftp: hub.tftp }) })}\n`,
  );
}

function stopOnSignal(hub: RunningHub): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1); // the second signal: at once
    stopping = true;
    hub.context.logger.info({ signal }, 'the hub is shutting down');
    hub.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        hub.context.logger.error({ err: error }, 'the hub could not shut down cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Starts the hub by the process's arguments and environment; ends the process when that fails. */
export async function runHubCommand(): Promise<void> {
  try {
    await main();
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): never {
  if (error instanceof CommandLineExit) process.exit(error.exitCode);
  const known = isHoldfastError(error);
  process.stderr.write(
    `holdfast: ${known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(known && error.code === 'validation_failed' ? 2 : 1);
}
