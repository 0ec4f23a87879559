import { expect, it } from 'vitest';
import { guestCallsVariable } from '../support/guest-calls.ts';
import { offerGuestServers } from '../support/guest-servers.ts';
import { runInGuest } from '../support/guest.ts';

it('the kernel of a guest mounts NFS shares of this machine', { timeout: 2_700_000 }, async () => {
  await using servers = await offerGuestServers();
  const console = await runInGuest({
    command: `CI=true ${guestCallsVariable}=${servers.url} vitest run --project guest --reporter=verbose test/long/guest/nfs`,
    timeoutMs: 2_600_000,
  });
  expect(console).toMatch(/Tests\s+\d+ passed \(\d+\)/);
});
