'use strict';
// One set-up at a time in this working copy. ES2015, built-in modules only (see ../run.cjs).
const fs = require('fs');
const os = require('os');
const path = require('path');

/** A holder on this machine is asked for by pid; any other counts as gone when it is silent for this long. */
const staleMs = 60000;
const heartbeatMs = 5000;
const retryMs = 200;

function ignoreMissing(action) {
  try {
    action();
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

function makeFolder(folder) {
  if (fs.existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  try {
    fs.mkdirSync(folder);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
}

function tryMakeFolder(folder) {
  try {
    fs.mkdirSync(folder);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function ageMs(folder) {
  try {
    return Date.now() - fs.statSync(folder).mtime.getTime();
  } catch (error) {
    return 0;
  }
}

function processIsAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

function ownerFile(folder) {
  return path.join(folder, 'owner.json');
}

function readOwner(folder) {
  try {
    return JSON.parse(fs.readFileSync(ownerFile(folder), 'utf8'));
  } catch (error) {
    // Between the holder's mkdir and its first write there is no owner yet.
    return undefined;
  }
}

/** True when the holder is certainly gone, or silent for too long to be at work. */
function isStale(folder) {
  const owner = readOwner(folder);
  if (owner !== undefined && owner.host === os.hostname() && !processIsAlive(owner.pid)) return true;
  return ageMs(folder) > staleMs;
}

function removeLock(folder) {
  ignoreMissing(() => fs.unlinkSync(ownerFile(folder)));
  ignoreMissing(() => fs.rmdirSync(folder));
}

/** Clears a stale lock. Under a guard, and judged again there: or a slow waiter would clear its successor's lock. */
function clearStale(folder) {
  const guard = folder + '.clearing';
  if (ageMs(guard) > staleMs) ignoreMissing(() => fs.rmdirSync(guard));
  if (!tryMakeFolder(guard)) return;
  try {
    if (isStale(folder)) removeLock(folder);
  } finally {
    ignoreMissing(() => fs.rmdirSync(guard));
  }
}

/**
 * Resolves to a function that releases the lock. `onWait` is called once when another process holds it.
 * @param {string} folder the lock, a folder that exists while it is held
 * @param {() => void} onWait
 * @returns {Promise<() => void>}
 */
function acquire(folder, onWait) {
  makeFolder(path.dirname(folder));
  return new Promise((resolve, reject) => {
    let waited = false;
    const attempt = () => {
      try {
        if (tryMakeFolder(folder)) {
          fs.writeFileSync(
            ownerFile(folder),
            JSON.stringify({ pid: process.pid, host: os.hostname() }) + '\n'
          );
          const heartbeat = setInterval(() => {
            ignoreMissing(() => fs.utimesSync(folder, new Date(), new Date()));
          }, heartbeatMs);
          resolve(() => {
            clearInterval(heartbeat);
            // After a long suspend another process may have taken it over.
            const owner = readOwner(folder);
            if (owner !== undefined && owner.pid === process.pid) removeLock(folder);
          });
          return;
        }
        if (isStale(folder)) {
          clearStale(folder);
        } else if (!waited) {
          waited = true;
          onWait();
        }
        setTimeout(attempt, retryMs);
      } catch (error) {
        reject(error);
      }
    };
    attempt();
  });
}

module.exports = { acquire, makeFolder };
