import { describe, expect, it } from 'vitest';
import { chainWorkflow, kernelWorkflow, sanbootWorkflow } from './boot-samples.ts';
import { bootFiles } from './preview.ts';
import { workflowProblems } from './workflow-problems.ts';

describe('the files of a workflow', () => {
  it('are kernel and initrd', () => {
    expect(bootFiles(kernelWorkflow)).toEqual([
      { role: 'kernel', path: '/debian 12/vmlinuz' },
      { role: 'initrd', path: '/debian 12/initrd.gz' },
    ]);
    expect(bootFiles({ ...kernelWorkflow, initrdPath: null })).toEqual([
      { role: 'kernel', path: '/debian 12/vmlinuz' },
    ]);
  });

  it('are what its boot URL names on the boot backend', () => {
    expect(bootFiles(sanbootWorkflow)).toEqual([{ role: 'boot', path: '/isos/a b.iso' }]);
    const bootUrl = '${server}/api/v1/files/efi/shell%20x.efi?a=b';
    expect(bootFiles({ ...chainWorkflow, bootUrl })).toEqual([{ role: 'boot', path: '/efi/shell x.efi' }]);
  });

  it.each(['http://elsewhere/x.efi', 'tftp://h/x', '${server}/x', '/nodes/${mac}.efi', null])(
    'are none for the boot URL %j',
    (bootUrl) => {
      expect(bootFiles({ ...chainWorkflow, bootUrl })).toEqual([]);
    },
  );
});

describe('the problems of a workflow', () => {
  it('are none for one that boots', () => {
    expect([kernelWorkflow, sanbootWorkflow, chainWorkflow].flatMap(workflowProblems)).toEqual([]);
  });

  it('are sentences that name the field', () => {
    expect(workflowProblems({ ...kernelWorkflow, kernelPath: null })).toEqual([
      'The workflow has no kernel_path, which kernel needs.',
    ]);
    expect(workflowProblems({ ...chainWorkflow, bootUrl: null })).toEqual([
      'The workflow has no boot_url, which chain needs.',
    ]);
    expect(workflowProblems({ ...kernelWorkflow, initrdPath: 'x', cmdline: 'a\nb' })).toEqual([
      "The workflow's initrd_path must start with /.",
      "The workflow's cmdline must not hold line breaks or control characters.",
    ]);
  });
});
