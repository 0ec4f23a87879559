import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { fieldProblems } from './problem.ts';
import { workflowCreate, workflowPatch } from './workflows.ts';

const kernel = { name: 'Debian', install_method: 'kernel', kernel_path: '/debian/vmlinuz' } as const;

function problems(schema: z.ZodType, value: unknown): string[] {
  const { error } = schema.safeParse(value);
  return error === undefined ? [] : fieldProblems(error).map(({ field, message }) => `${field} ${message}`);
}

describe('a new workflow', () => {
  it('is filled in with defaults', () => {
    expect(workflowCreate.parse(kernel)).toEqual({
      ...kernel,
      initrd_path: null,
      cmdline: '',
      boot_url: null,
      architecture: 'x86_64',
      boot_mode: 'uefi',
    });
  });

  it('needs a kernel path for kernel', () => {
    expect(problems(workflowCreate, { ...kernel, kernel_path: null })).toEqual([
      'kernel_path is required when install_method is kernel',
    ]);
  });

  it.each(['sanboot', 'chain'])('needs a boot URL for %s', (install_method) => {
    expect(problems(workflowCreate, { name: 'x', install_method })).toEqual([
      `boot_url is required when install_method is ${install_method}`,
    ]);
  });

  it('refuses unknown fields by name', () => {
    expect(problems(workflowCreate, { ...kernel, kernel: '/x' })).toEqual(['kernel is not a known field']);
  });

  it.each(['/vmlinuz', '/a b/ü/vmlinuz-6.1.0+x%20#1', '/..a/b..', '//double'])(
    'takes the path %j',
    (kernel_path) => {
      expect(problems(workflowCreate, { ...kernel, kernel_path })).toEqual([]);
    },
  );

  it.each([
    'vmlinuz',
    '',
    '/',
    '/folder/',
    '/../etc/passwd',
    '/a/../b',
    '/a/./b',
    '/a\nb',
    '/a\\b',
    '/a\u2028b',
    '/\u{d800}',
    '/.holdfast/vault/x',
    '//.Holdfast/x',
  ])('refuses the path %j for kernel and initrd', (path) => {
    expect(problems(workflowCreate, { ...kernel, kernel_path: path })).toHaveLength(1);
    expect(problems(workflowCreate, { ...kernel, initrd_path: path })).toHaveLength(1);
  });

  it.each([
    'console=ttyS0,115200n8 root=/dev/sda1 --- quiet',
    'dyndbg="file drivers/usb/* +p" a=b;c d=e||f g=#1',
    'u=${server} n=${node_id} m=${mac} i=${ip} t=${node_token} $HOME',
    '',
  ])('takes the command line %j', (cmdline) => {
    expect(problems(workflowCreate, { ...kernel, cmdline })).toEqual([]);
  });

  it.each([
    'a\nb',
    'a\rb',
    'a\tb',
    'a\0b',
    'a\u0085b',
    'a\u2028b',
    'a || shell',
    'a && shell',
    '; shell',
    'a #comment',
    '${net0/ip}',
    '${server',
    'x'.repeat(2049),
  ])('refuses the command line %j', (cmdline) => {
    expect(problems(workflowCreate, { ...kernel, cmdline })).toHaveLength(1);
  });

  it.each([
    'http://mirror.example/netboot.xyz.efi',
    'HTTPS://mirror.example/x?a=b&c=${mac}',
    'tftp://10.0.0.1/pxelinux.0',
    'iscsi:10.0.0.1::::iqn.2026-01.org.example:disk1',
    '${server}/api/v1/files/a.iso',
    '/isos/Debian 12.iso',
    'http://${ip}/x',
  ])('takes the boot URL %j', (boot_url) => {
    expect(problems(workflowCreate, { name: 'x', install_method: 'chain', boot_url })).toEqual([]);
  });

  it.each([
    'ftp://10.0.0.1/x',
    'file:///etc/passwd',
    'mirror.example/x',
    'http://',
    'http:///x',
    'http://a/b c',
    'http://a/b\nshell',
    '${mac}/x',
    '${net0/next-server}/x',
    'http://a/${foo}',
    '/a/../b',
    '/a b\nshell',
    '',
  ])('refuses the boot URL %j', (boot_url) => {
    expect(problems(workflowCreate, { name: 'x', install_method: 'chain', boot_url })).toHaveLength(1);
  });
});

describe('a change of a workflow', () => {
  it('leaves out what it does not name, and applies the rules of single fields', () => {
    expect(workflowPatch.parse({ cmdline: 'quiet', initrd_path: null })).toEqual({
      cmdline: 'quiet',
      initrd_path: null,
    });
    expect(workflowPatch.parse({})).toEqual({});
    expect(problems(workflowPatch, { cmdline: 'a\nb' })).toHaveLength(1);
    expect(problems(workflowPatch, { install_method: 'pxe' })).toHaveLength(1);
    expect(problems(workflowPatch, { id: 'x' })).toEqual(['id is not a known field']);
  });
});
