import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dnsmasqConfig } from './dnsmasq.ts';

const server = 'http://10.0.0.5:8080';
const tftp = { host: '10.0.0.5', port: 69 };

/** What the real program says of a configuration; throws when it refuses it. */
function checkedByDnsmasq(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'dnsmasq-'));
  try {
    const file = join(folder, 'holdfast.conf');
    writeFileSync(file, text);
    return execFileSync('dnsmasq', ['--test', `--conf-file=${file}`], { encoding: 'utf8', stdio: 'pipe' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a dnsmasq configuration', () => {
  it.each([
    { server, tftp },
    { server, tftp: null },
    { server, tftp, interface: 'eth0', range: '10.0.0.0' },
    { server, tftp, interface: 'br-lab.7', range: '10.0.0.100,10.0.0.200' },
    { server: 'https://files.lab.example', tftp: { host: '10.0.0.5', port: 6969 } },
  ])('is taken by dnsmasq: %j', (input) => {
    expect(() => checkedByDnsmasq(dnsmasqConfig(input))).not.toThrow();
  });

  it('answers beside a DHCP server for one network, and hands out addresses for two', () => {
    const proxy = dnsmasqConfig({ server, tftp, range: '10.0.0.0' });
    expect(proxy).toContain('dhcp-range=10.0.0.0,proxy\n');
    expect(proxy).toContain('pxe-service=tag:!ipxe,X86PC,"Holdfast",undionly.kpxe,10.0.0.5\n');
    const own = dnsmasqConfig({ server, tftp, range: '10.0.0.100,10.0.0.200' });
    expect(own).toContain('dhcp-range=10.0.0.100,10.0.0.200,12h\n');
    expect(own).not.toContain('pxe-service');
  });

  it('sends UEFI HTTP Boot to iPXE, and beside a DHCP server says what that one has to send', () => {
    const url = 'http://10.0.0.5:8080/api/v1/files/ipxe.efi';
    const own = dnsmasqConfig({ server, tftp, range: '10.0.0.100,10.0.0.200' });
    expect(own).toContain('\ndhcp-option-force=tag:efihttp,60,HTTPClient\n');
    expect(own).toContain(`\ndhcp-boot=tag:efihttp,tag:!ipxe,${url}\n`);
    const proxy = dnsmasqConfig({ server, tftp, range: '10.0.0.0' });
    expect(proxy).not.toMatch(/^[^#].*efihttp/m);
    expect(proxy).toContain(`option 60 "HTTPClient", and option 67 ${url}\n`);
  });

  it('sends iPXE to the first script, and says what is missing for firmware without it', () => {
    const text = dnsmasqConfig({ server, tftp: null });
    expect(text).toContain('dhcp-boot=tag:ipxe,http://10.0.0.5:8080/api/v1/ipxe/boot.ipxe\n');
    expect(text).toContain('HOLDFAST_TFTP_PORT=69');
    expect(dnsmasqConfig({ server, tftp: { host: '10.0.0.5', port: 6969 } })).toContain(
      'firmware asks port 69 only',
    );
  });

  it('refuses a server that would break out of its line', () => {
    expect(() => dnsmasqConfig({ server: 'http://a\ndhcp-script=/x', tftp })).toThrow('http://host:port');
  });
});
