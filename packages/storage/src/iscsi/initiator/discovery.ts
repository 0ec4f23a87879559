import { randomIsid } from './isid.ts';
import { parseTextPairs } from './text-keys.ts';
import { IscsiSession } from './session.ts';
import type { SessionOptions } from './session.ts';

export interface DiscoveredTarget {
  /** IQN. */
  name: string;
  /** Portals as the target gives them: `host:port,group`. */
  addresses: string[];
}

/** Reads an answer to SendTargets (RFC 7143 appendix C). */
function parseTargets(text: Buffer): DiscoveredTarget[] {
  const targets: DiscoveredTarget[] = [];
  for (const [key, value] of parseTextPairs(text)) {
    if (key === 'TargetName') targets.push({ name: value, addresses: [] });
    else if (key === 'TargetAddress') targets.at(-1)?.addresses.push(value);
  }
  return targets;
}

/**
 * Asks a server for the targets that this initiator may see.
 * @throws HoldfastError `backend_unavailable`, `cancelled`
 */
export async function discoverTargets(
  options: Omit<SessionOptions, 'target' | 'isid'>,
): Promise<DiscoveredTarget[]> {
  await using session = await IscsiSession.open({ ...options, isid: randomIsid() });
  return parseTargets(await session.sendTargets());
}
