import { describe, expect, test } from 'vitest';
import { explainNpmFailure, lacksOnlyForeignPlatforms, shorten } from './npm-failure.cjs';

describe('explainNpmFailure', () => {
  test.each([
    ['npm error code ENOTFOUND', 'Check the network'],
    ['npm ERR! code EAI_AGAIN', 'Check the network'],
    ['npm error code SELF_SIGNED_CERT_IN_CHAIN', 'certificate'],
    ['npm error code E403', 'Sign in'],
    ['npm error code E404', 'a mirror may be incomplete'],
    ['npm error code EUSAGE', 'Run "npm install" and commit'],
    ['npm error code ENOSPC', 'The disk is full'],
    ['npm error code EACCES', 'cannot write'],
    ['npm error code EINTEGRITY', 'npm cache verify'],
  ])('says what to do about "%s"', (output, advice) => {
    expect(explainNpmFailure(output)).toContain(advice);
  });

  test('has nothing to say about a failure that it does not know', () => {
    expect(explainNpmFailure('npm error code 1')).toBeUndefined();
  });
});

describe('lacksOnlyForeignPlatforms', () => {
  const foreign = 'npm error Missing: @oxlint/binding-darwin-x64@ from lock file';

  test('is true when every complaint is about a package that the registry does not have', () => {
    expect(lacksOnlyForeignPlatforms(`npm error code EUSAGE\n${foreign}\n`)).toBe(true);
  });

  test.each([
    ['npm error Missing: zod@4.6.7 from lock file'],
    ["npm error Invalid: lock file's zod@4.6.7 does not satisfy zod@4.7.0"],
  ])('is false as soon as the lock really disagrees: %s', (complaint) => {
    expect(lacksOnlyForeignPlatforms(`${foreign}\n${complaint}\n`)).toBe(false);
  });

  test('is false for any other failure', () => {
    expect(lacksOnlyForeignPlatforms('npm error code ENOTFOUND')).toBe(false);
  });
});

test('shorten keeps what happened and drops the pages of usage', () => {
  const output =
    'npm error code EUSAGE\nnpm error not in sync\nnpm error Clean install a project\nnpm error Usage:\n';
  expect(shorten(output)).toBe('npm error code EUSAGE\nnpm error not in sync');
});
