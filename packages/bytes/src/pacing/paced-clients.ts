import type { Ask, PacedClient, Pacer } from './pacer-state.ts';
import { TagHeap } from './tag-heap.ts';
import { fullBucket, isFull, refill } from './token-bucket.ts';

/** The client of that name, known or new. */
export function clientOf<A extends Ask>(pacer: Pacer<A>, name: string, now: number): PacedClient<A> {
  forgetOne(pacer, now);
  const known = pacer.clients.get(name);
  if (known !== undefined) {
    pacer.leaving.delete(known);
    return known;
  }
  const client: PacedClient<A> = {
    name,
    bucket: pacer.clientLimit === undefined ? undefined : fullBucket(pacer.clientLimit, now),
    transfers: 0,
    waiting: new TagHeap(),
    virtualTime: pacer.virtualTime,
    offset: 0,
    activeShares: 0,
    heldBack: false,
    tag: 0,
    order: 0,
    place: -1,
  };
  pacer.clients.set(name, client);
  return client;
}

/** Forgets a client without transfers, or later when it owes: a new transfer must not free it of its debt. */
export function leave<A extends Ask>(pacer: Pacer<A>, client: PacedClient<A>, now: number): void {
  if (client.bucket !== undefined) refill(client.bucket, now);
  if (client.bucket !== undefined && !isFull(client.bucket)) {
    pacer.leaving.add(client);
    return;
  }
  pacer.leaving.delete(client);
  pacer.clients.delete(client.name);
}

/** Looks at one of the clients that leave, in turn. Called for each one that comes, so they do not pile up. */
function forgetOne(pacer: Pacer<Ask>, now: number): void {
  for (const client of pacer.leaving) {
    pacer.leaving.delete(client);
    leave(pacer, client, now);
    return;
  }
}
