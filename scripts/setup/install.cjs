'use strict';
// Brings node_modules to what package-lock.json says. ES2015, built-in modules only (see ../run.cjs).
const fs = require('fs');
const path = require('path');
const lock = require('./lock.cjs');
const npm = require('./npm.cjs');
const stamp = require('./stamp.cjs');

function say(line) {
  process.stderr.write(line + '\n');
}

/** Versions of the toolchain: Node as the lock pins it, npm as package.json's `packageManager` names it. */
function readVersions(root) {
  const locked = stamp.readJson(path.join(root, 'package-lock.json')).packages['node_modules/node'];
  const manager = /^npm@(\d+\.\d+\.\d+)/.exec(
    stamp.readJson(path.join(root, 'package.json')).packageManager || ''
  );
  if (locked === undefined || manager === null) {
    throw npm.setupError(
      'package-lock.json must pin the package "node" and package.json must name npm in "packageManager"; ' +
        'take both files from the repository again.',
      1
    );
  }
  return { node: locked.version, npm: manager[1] };
}

/** Resolves to true when the project's own Node is there and is the pinned one. */
function hasPinnedNode(root, versions) {
  const binary = stamp.nodeBinary(root);
  if (!fs.existsSync(binary)) return Promise.resolve(false);
  return npm
    .run(binary, ['--version'], { cwd: root, env: process.env })
    .then((result) => result.code === 0 && result.output.trim() === 'v' + versions.node);
}

/** Install scripts run for the packages of `allowScripts` only, whatever this user's npm settings say. */
function runAllowedScripts(root, tools) {
  const allowed = stamp.readJson(path.join(root, 'package.json')).allowScripts || {};
  const names = Object.keys(allowed).filter((name) => allowed[name] === true);
  return npm.runNpmOrExplain(tools, root, ['rebuild', '--ignore-scripts=false'].concat(names));
}

function install(root, versions, unfinished) {
  const startedAt = Date.now();
  const again = fs.existsSync(path.join(root, 'node_modules', '.package-lock.json'));
  say(again ? 'Setting up (the dependencies changed)…' : 'Setting up (first time only)…');
  stamp.remove(root);
  fs.writeFileSync(unfinished, '');
  return npm.findTools(root, versions).then((tools) => {
    return npm
      .cleanInstall(tools, root)
      .then(() => runAllowedScripts(root, tools))
      .then(() => hasPinnedNode(root, versions))
      .then((present) => {
        if (!present) {
          throw npm.setupError(
            'The packages are installed, but Node ' +
              versions.node +
              ' does not run here: ' +
              stamp.nodeBinary(root) +
              ' is missing or is not made for ' +
              process.platform +
              '-' +
              process.arch +
              '.',
            1
          );
        }
        say('Set up in ' + Math.round((Date.now() - startedAt) / 1000) + ' s.');
      });
  });
}

/**
 * Sets the project up unless another process has just done so. Rejects with a message for the person at the
 * terminal and an `exitCode`.
 * @param {string} root
 * @returns {Promise<void>}
 */
function setUp(root) {
  const cache = path.join(root, '.cache');
  const unfinished = path.join(cache, 'setup-unfinished');
  return lock
    .acquire(path.join(cache, 'setup.lock'), () =>
      say('Another set-up of this folder is running; waiting for it…')
    )
    .then((release) => {
      const work = () => {
        if (stamp.isValid(root)) return undefined;
        const versions = readVersions(root);
        // After an interrupted run npm's own record of what is installed proves nothing.
        const trusted = !fs.existsSync(unfinished) && stamp.installedByHand(root);
        return (trusted ? hasPinnedNode(root, versions) : Promise.resolve(false))
          .then((ready) => (ready ? undefined : install(root, versions, unfinished)))
          .then(() => {
            stamp.write(root);
            if (fs.existsSync(unfinished)) fs.unlinkSync(unfinished);
          });
      };
      return Promise.resolve()
        .then(work)
        .then(release, (error) => {
          release();
          throw error;
        });
    });
}

module.exports = { setUp };
