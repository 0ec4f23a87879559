'use strict';
// Finds and runs npm, whatever the machine has. ES2015, built-in modules only (see ../run.cjs).
const childProcess = require('child_process');
const fs = require('fs');
const path = require('path');
const lock = require('./lock.cjs');
const failure = require('./npm-failure.cjs');
const stamp = require('./stamp.cjs');

/** Older ones cannot be relied on to install from this lock file: the project's own are fetched first. */
const minimumNodeMajor = 20;
const minimumNpmMajor = 10;

/** A failure whose message needs no stack trace. */
function setupError(message, exitCode) {
  return Object.assign(new Error(message), { exitCode: exitCode });
}

/**
 * Runs a command with its output held back; resolves to `{ code, output }`. A signal goes on to the command and
 * rejects once that has ended.
 */
function run(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = childProcess.spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let interruptedBy;
    const collect = (chunk) => {
      output = (output + chunk).slice(-20000);
    };
    child.stdout.setEncoding('utf8');
    child.stderr.setEncoding('utf8');
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const onInterrupt = () => {
      interruptedBy = 130;
      child.kill('SIGINT');
    };
    const onTerminate = () => {
      interruptedBy = 143;
      child.kill('SIGTERM');
    };
    process.on('SIGINT', onInterrupt);
    process.on('SIGTERM', onTerminate);
    const settle = () => {
      process.removeListener('SIGINT', onInterrupt);
      process.removeListener('SIGTERM', onTerminate);
    };
    child.on('error', (error) => {
      settle();
      reject(setupError('Could not run ' + command + ': ' + error.message, 1));
    });
    child.on('close', (code) => {
      settle();
      if (interruptedBy === undefined) resolve({ code: code, output: output });
      else
        reject(setupError('The set-up was interrupted; run the command again to finish it.', interruptedBy));
    });
  });
}

function isInside(folder, file) {
  return (file + path.sep).startsWith(folder + path.sep);
}

/** The PATH without this project's node_modules, which an install replaces. */
function machinePath(root) {
  const ours = path.join(root, 'node_modules');
  return (process.env.PATH || '').split(path.delimiter).filter((folder) => folder && !isInside(ours, folder));
}

function findOnPath(folders, name) {
  const names = process.platform === 'win32' ? [name + '.exe', name + '.cmd'] : [name];
  for (let i = 0; i < folders.length; i += 1) {
    for (let j = 0; j < names.length; j += 1) {
      const file = path.join(folders[i], names[j]);
      if (fs.existsSync(file)) return fs.realpathSync(file);
    }
  }
  return undefined;
}

/** npm's settings that belong to the command that is running and must not leak into the install. */
const leakingSettings =
  /^npm_(config_(workspaces?|omit|include|only|production|prefix|local_prefix|global|global_prefix|dry_run|package_lock_only|ignore_scripts|loglevel|silent)|package_.*|lifecycle_.*|command)$/i;

function installEnvironment(folders) {
  const env = { PATH: folders.join(path.delimiter) };
  Object.keys(process.env).forEach((name) => {
    if (name !== 'PATH' && !leakingSettings.test(name)) env[name] = process.env[name];
  });
  return env;
}

/** The machine's own node and npm as `{ node, npmCli, env }`. */
function machineTools(root) {
  const folders = machinePath(root);
  const running = fs.realpathSync(process.execPath);
  const node = isInside(path.join(fs.realpathSync(root), 'node_modules'), running)
    ? findOnPath(folders, 'node')
    : running;
  const fromNpm = process.env.npm_execpath;
  const npmCli = fromNpm && fromNpm.endsWith('npm-cli.js') ? fromNpm : findOnPath(folders, 'npm');
  if (node === undefined || npmCli === undefined) {
    throw setupError(
      'The set-up needs Node.js and npm on the PATH (any version from the last years will do). ' +
        'On Debian: apt-get install nodejs npm.',
      1
    );
  }
  return { node: node, npmCli: npmCli, env: installEnvironment([path.dirname(node)].concat(folders)) };
}

function runNpm(tools, cwd, args) {
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--no-progress', '--loglevel=error'];
  return run(tools.node, [tools.npmCli].concat(args, quiet), { cwd: cwd, env: tools.env });
}

/** Rejects with a sentence when npm failed, after npm's own words. */
function explained(args, result) {
  if (result.code === 0) return;
  const advice = failure.explainNpmFailure(result.output) || 'See the message of npm above.';
  process.stderr.write(failure.shorten(result.output) + '\n');
  throw setupError(
    'The set-up failed at "npm ' + args[0] + '" (exit code ' + result.code + '). ' + advice,
    1
  );
}

function runNpmOrExplain(tools, cwd, args) {
  return runNpm(tools, cwd, args).then((result) => explained(args, result));
}

/** Installs exactly what package-lock.json says, development dependencies included, without install scripts. */
function cleanInstall(tools, root) {
  const options = ['--include=dev', '--ignore-scripts', '--engine-strict=false'];
  return runNpm(tools, root, ['ci'].concat(options)).then((result) => {
    if (result.code === 0 || !failure.lacksOnlyForeignPlatforms(result.output)) {
      explained(['ci'], result);
      return undefined;
    }
    removeTree(path.join(root, 'node_modules'));
    return runNpmOrExplain(tools, root, ['install', '--no-save'].concat(options));
  });
}

function majorOf(version) {
  return Number(String(version).trim().replace(/^v/, '').split('.')[0]);
}

/** True when the machine's own node and npm can install this project. */
function areRecent(tools, root) {
  return Promise.all([
    run(tools.node, ['--version'], { cwd: root, env: tools.env }),
    run(tools.node, [tools.npmCli, '--version', '--loglevel=silent'], { cwd: root, env: tools.env }),
  ]).then((results) => {
    return (
      results.every((result) => result.code === 0) &&
      majorOf(results[0].output) >= minimumNodeMajor &&
      majorOf(results[1].output) >= minimumNpmMajor
    );
  });
}

function removeTree(target) {
  let entry;
  try {
    entry = fs.lstatSync(target);
  } catch (error) {
    return;
  }
  if (!entry.isDirectory()) {
    fs.unlinkSync(target);
    return;
  }
  fs.readdirSync(target).forEach((name) => removeTree(path.join(target, name)));
  fs.rmdirSync(target);
}

function toolchainTools(root, folder) {
  const bin = path.join(folder, 'node_modules', '.bin');
  return {
    node: stamp.nodeBinary(folder),
    npmCli: path.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    env: installEnvironment([bin].concat(machinePath(root))),
  };
}

/** The pinned node and npm in .cache/toolchain, fetched with the machine's old ones when they are not there yet. */
function fetchToolchain(root, oldTools, versions) {
  const folder = path.join(root, '.cache', 'toolchain');
  const wanted = { node: versions.node, npm: versions.npm };
  const present = stamp.readJsonIfPresent(path.join(folder, 'package.json'));
  const complete = present !== undefined && JSON.stringify(present.dependencies) === JSON.stringify(wanted);
  if (complete && fs.existsSync(stamp.nodeBinary(folder)))
    return Promise.resolve(toolchainTools(root, folder));

  process.stderr.write(
    "This machine's Node.js or npm is old: fetching Node " + wanted.node + ' for this project…\n'
  );
  // The set-up lock is held: what is there was left by an interrupted run.
  const staging = folder + '.new';
  removeTree(staging);
  lock.makeFolder(staging);
  fs.writeFileSync(
    path.join(staging, 'package.json'),
    JSON.stringify({ private: true, allowScripts: { node: true } })
  );
  const packages = ['node@' + wanted.node, 'npm@' + wanted.npm];
  const install = [
    'install',
    '--prefix',
    staging,
    '--no-save',
    '--ignore-scripts=false',
    '--engine-strict=false',
  ].concat(packages);
  return runNpmOrExplain(oldTools, staging, install)
    .then(() => {
      if (!fs.existsSync(stamp.nodeBinary(staging))) {
        throw setupError(
          'npm installed the package "node" but not its binary for ' +
            process.platform +
            '-' +
            process.arch +
            '.',
          1
        );
      }
      // Written last: it is what marks the folder as complete.
      fs.writeFileSync(
        path.join(staging, 'package.json'),
        JSON.stringify({ private: true, allowScripts: { node: true }, dependencies: wanted }) + '\n'
      );
      removeTree(folder);
      fs.renameSync(staging, folder);
      return toolchainTools(root, folder);
    })
    .catch((error) => {
      removeTree(staging);
      throw error;
    });
}

/** The node and npm to install with: the machine's when they are recent, else the project's own. */
function findTools(root, versions) {
  const machine = machineTools(root);
  return areRecent(machine, root).then((recent) =>
    recent ? machine : fetchToolchain(root, machine, versions)
  );
}

module.exports = { cleanInstall, findTools, run, runNpmOrExplain, setupError };
