'use strict';
// What a failed npm run means and what to do about it. ES2015, built-in modules only (see ../run.cjs).

const causes = [
  {
    pattern:
      /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT/,
    advice:
      'The npm registry cannot be reached. Check the network, and behind a proxy or mirror "npm config get proxy" ' +
      'and "npm config get registry"; then run the command again.',
  },
  {
    pattern: /SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|CERT_/,
    advice:
      'The npm registry answered with a certificate that Node does not trust. Name your certificate authority by ' +
      '"npm config set cafile <file>", then run the command again.',
  },
  {
    pattern: /\bE40[13]\b/,
    advice: 'The npm registry refused the request. Sign in by "npm login" or check its address in ".npmrc".',
  },
  {
    pattern: /\bE404\b|ETARGET/,
    advice:
      'The npm registry does not have a package that package-lock.json names. Check "npm config get registry": ' +
      'a mirror may be incomplete.',
  },
  {
    pattern: /can only install (packages )?(when|with)|EUSAGE|not in sync/,
    advice:
      'package.json and package-lock.json do not agree. Run "npm install" and commit the new package-lock.json.',
  },
  {
    pattern: /ENOSPC/,
    advice: 'The disk is full. The packages need about 600 MB; free some space and run the command again.',
  },
  {
    pattern: /EACCES|EPERM|EROFS/,
    advice:
      'This user cannot write the working copy or the npm cache. Check who owns node_modules and the folder that ' +
      '"npm config get cache" names.',
  },
  {
    pattern: /EINTEGRITY/,
    advice:
      'A downloaded package does not have the checksum of package-lock.json. Run "npm cache verify" and try again; ' +
      'if it stays, the registry or mirror serves altered packages.',
  },
];

/**
 * A sentence a person can act on for the error output of npm, or undefined when it is none of the known causes.
 * @param {string} output
 * @returns {string | undefined}
 */
function explainNpmFailure(output) {
  const cause = causes.filter((candidate) => candidate.pattern.test(output))[0];
  return cause === undefined ? undefined : cause.advice;
}

/**
 * True when npm 11 refuses the lock only for packages without a version: optional ones for other platforms which the
 * registry (often a mirror) does not have, and which can therefore not be in a lock that was written with it.
 * @param {string} output
 * @returns {boolean}
 */
function lacksOnlyForeignPlatforms(output) {
  const complaints = output.split('\n').filter((line) => /^npm (error|ERR!) (Missing|Invalid): /.test(line));
  return complaints.length > 0 && complaints.every((line) => /Missing: \S+@ from lock file/.test(line));
}

/**
 * The part of npm's output that says what happened, without the pages of usage after it.
 * @param {string} output
 * @returns {string}
 */
function shorten(output) {
  const lines = output.trim().split('\n');
  const usage = lines.findIndex((line) => /^npm (error|ERR!) (Clean install a project|Usage:)/.test(line));
  return (usage < 0 ? lines : lines.slice(0, usage)).slice(0, 25).join('\n');
}

module.exports = { explainNpmFailure, lacksOnlyForeignPlatforms, shorten };
