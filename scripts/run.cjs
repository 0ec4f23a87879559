'use strict';
// Entry of every npm script. It runs on whatever Node the machine has and before anything is installed:
// ES2015 syntax and built-in modules only, and nothing is loaded that the quick path does not need.
const fs = require('fs');
const path = require('path');
const stamp = require('./setup/stamp.cjs');

const root = path.dirname(__dirname);

/** What each command runs, in order; the arguments of the command line go to the last step. */
const commands = {
  start: [{ script: 'apps/hub/src/main.ts', nodeFlags: 'apps/hub/node-flags.json' }],
  test: [
    { script: 'scripts/debian-packages.ts', args: ['test'] },
    {
      script: 'node_modules/vitest/vitest.mjs',
      args: ['run'],
      env: { NODE_ENV: 'test' },
      unless: { given: '--project', args: ['--project', 'unit', '--project', 'system'] },
    },
  ],
  'test:long': [
    { script: 'scripts/debian-packages.ts', args: ['test', 'long'] },
    {
      script: 'node_modules/vitest/vitest.mjs',
      args: ['run', '--project', 'long'],
      env: { NODE_ENV: 'test' },
    },
  ],
  check: [{ script: 'scripts/check.ts' }],
  bench: [
    { script: 'scripts/debian-packages.ts', args: ['test', 'bench'] },
    // Storage backends run in the process of the bench as they do in that of a hub.
    { script: 'bench/main.ts', nodeFlags: 'apps/hub/node-flags.json' },
  ],
  package: [{ script: 'scripts/package.ts' }],
  format: [{ script: 'node_modules/oxfmt/bin/oxfmt' }],
};

/** A terminal signals the whole group and npm then signals its child again: one key press, two signals. */
const duplicateSignalMs = 400;

function environment(step) {
  const env = Object.assign({}, process.env, step.env, { HOLDFAST_RUNNER_PID: String(process.pid) });
  env.PATH = [path.join(root, 'node_modules', '.bin'), process.env.PATH].filter(Boolean).join(path.delimiter);
  return env;
}

/** Arguments of a step that the command line has not chosen for itself. */
function defaultArgs(step, rest) {
  if (!step.unless) return [];
  const given = step.unless.given;
  return rest.some((arg) => arg === given || arg.indexOf(given + '=') === 0) ? [] : step.unless.args;
}

/** Runs one step in a process group of its own, so that it sees exactly the signals passed on here. */
function runStep(step, rest) {
  const spawn = require('child_process').spawn;
  const guard = path.join(__dirname, 'end-with-runner.cjs');
  const flags = step.nodeFlags ? JSON.parse(fs.readFileSync(path.join(root, step.nodeFlags), 'utf8')) : [];
  const own = (step.args || []).concat(defaultArgs(step, rest));
  const args = flags.concat(['--require', guard, path.join(root, step.script)], own, rest);
  return new Promise((resolve) => {
    const child = spawn(stamp.nodeBinary(root), args, {
      cwd: root,
      env: environment(step),
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
      detached: process.platform !== 'win32',
    });
    const lastAt = {};
    const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'].map((signal) => {
      const handler = () => {
        const now = Date.now();
        if (lastAt[signal] === undefined || now - lastAt[signal] > duplicateSignalMs) child.kill(signal);
        lastAt[signal] = now;
      };
      process.on(signal, handler);
      return { signal: signal, handler: handler };
    });
    const settle = (outcome) => {
      handlers.forEach((entry) => process.removeListener(entry.signal, entry.handler));
      resolve(outcome);
    };
    child.on('error', (error) => {
      process.stderr.write('Could not run ' + step.script + ': ' + error.message + '\n');
      settle({ code: 1, signal: null });
    });
    child.on('exit', (code, signal) => settle({ code: code, signal: signal }));
  });
}

function leave(outcome) {
  // The same end as the child's, so that a caller sees "killed by SIGTERM" and not a made-up exit code.
  if (outcome.signal) process.kill(process.pid, outcome.signal);
  else process.exit(outcome.code);
}

function runSteps(steps, rest) {
  const step = steps[0];
  const last = steps.length === 1;
  return runStep(step, last ? rest : []).then((outcome) => {
    if (last || outcome.code !== 0) return outcome;
    return runSteps(steps.slice(1), rest);
  });
}

function main(argv) {
  const name = argv[0];
  const steps = Object.prototype.hasOwnProperty.call(commands, String(name)) ? commands[name] : undefined;
  if (steps === undefined) {
    process.stderr.write('Usage: node scripts/run.cjs ' + Object.keys(commands).join('|') + ' [arguments]\n');
    process.exit(2);
    return;
  }
  const ready = stamp.isValid(root) ? Promise.resolve() : require('./setup/install.cjs').setUp(root);
  ready
    .then(() => {
      const missing = steps.filter((step) => !fs.existsSync(path.join(root, step.script)))[0];
      if (missing)
        throw new Error('"' + name + '" cannot run: ' + missing.script + ' is missing in ' + root + '.');
      return runSteps(steps, argv.slice(1));
    })
    .then(leave, (error) => {
      process.stderr.write(error.message + '\n');
      process.exit(typeof error.exitCode === 'number' ? error.exitCode : 1);
    });
}

main(process.argv.slice(2));
