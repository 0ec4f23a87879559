'use strict';
// Decides whether node_modules is what package-lock.json says. ES2015, built-in modules only (see run.cjs).
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const stampFormat = '1';
const dependencyFields = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];
const hashedFields = dependencyFields.concat([
  'name',
  'version',
  'bin',
  'workspaces',
  'overrides',
  'allowScripts',
]);

function readJson(file) {
  return JSON.parse(fs.readFileSync(file, 'utf8'));
}

function readJsonIfPresent(file) {
  try {
    return readJson(file);
  } catch (error) {
    // A file that is missing or was cut off says the same: there is no finished install to rely on.
    return undefined;
  }
}

function stampFile(root) {
  return path.join(root, 'node_modules', '.holdfast-setup');
}

/** The Node that runs everything: the one that package-lock.json pins. */
function nodeBinary(root) {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  return path.join(root, 'node_modules', 'node', 'bin', name);
}

/** Folders of the workspaces, relative to the root; patterns are `folder/*` or a plain folder. */
function workspaceFolders(root, rootManifest) {
  const folders = [];
  (rootManifest.workspaces || []).forEach((pattern) => {
    if (!pattern.endsWith('/*')) {
      folders.push(pattern);
      return;
    }
    const parent = pattern.slice(0, -2);
    const names = fs.existsSync(path.join(root, parent)) ? fs.readdirSync(path.join(root, parent)) : [];
    names.sort().forEach((name) => folders.push(parent + '/' + name));
  });
  return folders.filter((folder) => fs.existsSync(path.join(root, folder, 'package.json')));
}

/** Every package.json of the project by its folder ('' is the root). */
function readManifests(root) {
  const rootManifest = readJson(path.join(root, 'package.json'));
  const manifests = [{ folder: '', manifest: rootManifest }];
  workspaceFolders(root, rootManifest).forEach((folder) => {
    manifests.push({ folder: folder, manifest: readJson(path.join(root, folder, 'package.json')) });
  });
  return manifests;
}

function pick(object, fields) {
  const picked = {};
  fields.forEach((field) => {
    if (object[field] !== undefined) picked[field] = object[field];
  });
  return picked;
}

/** SHA-256 (hex) over all that an install depends on: the lock, the dependencies, the platform. */
function fingerprint(root) {
  const hash = crypto.createHash('sha256');
  hash.update([stampFormat, process.platform, process.arch].join('\n') + '\n');
  readManifests(root).forEach((entry) => {
    hash.update(JSON.stringify([entry.folder, pick(entry.manifest, hashedFields)]) + '\n');
  });
  hash.update(fs.readFileSync(path.join(root, 'package-lock.json')));
  return hash.digest('hex');
}

/** True when a finished set-up left its stamp for just this lock and platform. */
function isValid(root) {
  try {
    return (
      fs.existsSync(nodeBinary(root)) && fs.readFileSync(stampFile(root), 'utf8').trim() === fingerprint(root)
    );
  } catch (error) {
    // No stamp, or a package.json that cannot be read: the set-up explains the latter.
    return false;
  }
}

function write(root) {
  fs.writeFileSync(stampFile(root), fingerprint(root) + '\n');
}

function remove(root) {
  if (fs.existsSync(stampFile(root))) fs.unlinkSync(stampFile(root));
}

function sameDependencies(a, b) {
  return dependencyFields.every((field) => {
    const left = a[field] || {};
    const right = b[field] || {};
    const names = Object.keys(left);
    return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
  });
}

/** True when the package of a lock entry is on disk, in the locked version. */
function isOnDisk(root, location, locked) {
  const manifest = readJsonIfPresent(path.join(root, location, 'package.json'));
  return manifest !== undefined && (locked.link === true || manifest.version === locked.version);
}

/**
 * True when node_modules holds what the lock says although the stamp does not say so: someone ran `npm install` or
 * `npm ci` by hand. npm's own record (node_modules/.package-lock.json) is written last, but by
 * `npm install --package-lock-only` as well, so the packages themselves are looked at too.
 */
function installedByHand(root) {
  const lock = readJsonIfPresent(path.join(root, 'package-lock.json'));
  const finished = fs.existsSync(path.join(root, 'node_modules', '.package-lock.json'));
  if (!finished || !lock || !lock.packages) return false;
  const agree = readManifests(root).every((entry) => {
    const locked = lock.packages[entry.folder];
    return locked !== undefined && sameDependencies(locked, entry.manifest);
  });
  if (!agree) return false;
  return Object.keys(lock.packages).every((location) => {
    const locked = lock.packages[location];
    const isPackage = /(^|\/)node_modules\//.test(location);
    // Optional packages are there for some platforms only.
    return !isPackage || locked.optional || locked.devOptional || isOnDisk(root, location, locked);
  });
}

module.exports = {
  fingerprint,
  installedByHand,
  isValid,
  nodeBinary,
  readJson,
  readJsonIfPresent,
  remove,
  write,
};
