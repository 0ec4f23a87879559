import { defineConfig } from 'vitest/config';

/**
 * Unit tests sit beside the source; whole-system ones in test/ run one file at a time. `npm test` runs these two;
 * `npm run test:long` runs the longer suite: real firmware, a real kernel's mounts, more servers. Tests of `guest` are run
 * by tests of `long`, in a virtual machine.
 */
export default defineConfig({
  test: {
    // Tests wait for servers and disks more than they compute, so a machine with two cores is kept busy by two.
    maxWorkers: 2,
    reporters: ['default', './scripts/vitest-summary.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'apps/*/src/**/*.test.ts', 'scripts/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 120_000,
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'system',
          sequence: { groupOrder: 1 },
          include: ['test/**/*.test.ts'],
          exclude: ['test/long/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'long',
          sequence: { groupOrder: 2 },
          include: ['test/long/**/*.test.ts'],
          exclude: ['test/long/guest/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'guest',
          sequence: { groupOrder: 3 },
          include: ['test/long/guest/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
