#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { expectShortLivedBuffers } from './transfer/short-lived-buffers.ts';

// First, because what was compiled with other flags is not used again.
expectShortLivedBuffers(process.argv.slice(2));
// Compiled and type-stripped modules are kept beside the installed packages: every later start takes half the time.
// Where the folder cannot be written, Node goes on without.
enableCompileCache(join(import.meta.dirname, '../../../node_modules/.cache/holdfast-modules'));
const { runProgram } = await import('./program.ts');
process.exitCode = await runProgram(process.argv.slice(2));
