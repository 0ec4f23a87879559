import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { CliOutput } from '@holdfast/contract/cli-output';
import { HoldfastError } from '@holdfast/contract/errors';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { counted, humanBytes, printable } from '../output/format.ts';
import { locationText, parseLocation } from '../paths/location.ts';
import type { Location, RemoteLocation } from '../paths/location.ts';
import { actionFor, paired } from './compare.ts';
import type { CompareRules, Pair } from './compare.ts';
import type { SyncAction, SyncFile } from './entry.ts';
import { fetchAll, fetchOne, removeLocal } from './fetch.ts';
import { requireSaneRemoval } from './guard.ts';
import { HashCache } from './hash-cache.ts';
import { IgnoreRules } from './ignore-rules.ts';
import { LocalFolders } from './local-folders.ts';
import { LocalHashes } from './local-hashes.ts';
import { LocalTree } from './local-tree.ts';
import { forEachParallel } from './parallel.ts';
import { PlanStore } from './plan-store.ts';
import { orNone, remoteTree } from './remote-tree.ts';
import type { RemoteTree } from './remote-tree.ts';
import { removeRemote } from './remove-remote.ts';
import { sendAll, sendOne } from './send.ts';
import { isOfOneFile, Tally } from './tally.ts';
import { LANES } from './work.ts';
import type { SyncWork } from './work.ts';

const transfers = ['create', 'replace', 'touch'] as const;

interface Sides {
  source: Location;
  destination: Location;
  /** The folder of this machine. */
  local: string;
  remote: RemoteLocation;
  isUpload: boolean;
}

/** Makes the destination like the source: plans everything, has the guard look at it, then does it. */
export async function sync(context: CommandContext): Promise<void> {
  const { options, output, signal, stateDir } = context;
  const sides = sidesOf(context.args);
  const isDryRun = options.flag('dryRun');
  const maxDelete = options.integer('maxDelete', 0, Number.MAX_SAFE_INTEGER);
  const client = await context.hub();
  const tree = await remoteTree(client, sides.remote);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  using cache = new HashCache(stateDir);
  await using hashes = new LocalHashes(sides.local, cache, signal);
  using plan = new PlanStore();
  using tally = new Tally(output);
  if (!isDryRun) context.onInterrupt(context.commandLine);

  const counts = await makePlan(context, { sides, tree, hashes, plan, tally });
  if (!options.flag('force')) {
    if (options.flag('delete') || maxDelete !== undefined) requireSaneRemoval(counts, maxDelete);
  }
  const work: SyncWork = {
    client,
    place: tree.place,
    root: sides.local,
    plan,
    hashes,
    tally,
    stateDir,
    signal,
    blocked: counts.removals > 0 ? [] : null,
  };
  tally.expect(plan.totals({ kinds: transfers }));
  if (!isDryRun) {
    if (counts.removals > 0) await confirm(context, removalQuestion(counts.removals, sides));
    await carryOut(work, sides.isUpload);
  }
  if (tally.failedCount > 0) context.endWith(exitCodes.failure);
  tally[Symbol.dispose]();
  tell(context, sides, plan, tally, isDryRun);
}

function sidesOf(args: readonly string[]): Sides {
  const source = parseLocation(args[0] ?? '');
  const destination = parseLocation(args[1] ?? '');
  if (source.kind === 'local' && (destination.kind === 'backend' || destination.kind === 'hub')) {
    return { source, destination, local: resolve(source.path), remote: destination, isUpload: true };
  }
  if (destination.kind === 'local' && (source.kind === 'backend' || source.kind === 'hub')) {
    return { source, destination, local: resolve(destination.path), remote: source, isUpload: false };
  }
  throw new UsageError(
    'sync goes between a folder of this machine and one of the hub: name one of each (NAME:/path or hub:/HOST/path).',
  );
}

interface Planning {
  sides: Sides;
  tree: RemoteTree;
  hashes: LocalHashes;
  plan: PlanStore;
  tally: Tally;
}

async function makePlan(context: CommandContext, { sides, tree, hashes, plan, tally }: Planning) {
  const { options } = context;
  const { isUpload } = sides;
  const rules = new IgnoreRules(sides.local, options.texts('exclude'));
  const local = new LocalTree({
    root: sides.local,
    order: tree.order,
    rules,
    // What stands in the way at the destination is no failure of the sync: it is left alone.
    onSkipped: (skipped) => tally.skip({ ...skipped, isFailure: skipped.isFailure && isUpload }),
  });
  if (isUpload) await local.requireFolder();
  const listed = tree.files(rules, (skipped) => tally.skip(skipped));
  const counts = { sourceFiles: 0, destinationFiles: 0, removals: 0 };
  const compare: CompareRules = {
    keepsTimes: tree.place.kind === 'hub',
    byChecksum: options.flag('checksum'),
    sha256Of: async (file: SyncFile) =>
      file.sha256 ?? (file.stamp === null ? null : await hashes.sha256Of(file)),
  };
  const pairs = isUpload
    ? paired(local.files(), orNone(listed), tree.order)
    : paired(listed, local.files(), tree.order);
  let looked = 0;
  await forEachParallel(pairs, LANES, async (pair) => {
    looked += 1;
    tally.looked(looked);
    if (pair.source !== null) counts.sourceFiles += 1;
    if (pair.destination !== null) counts.destinationFiles += 1;
    const action = await decide(pair, compare, tally);
    if (action === null) {
      if (pair.source !== null) tally.unchanged += 1;
    } else if (action.kind !== 'remove') plan.add(action);
    else if (options.flag('delete') && !local.isShielded(action.file.path)) {
      counts.removals += 1;
      plan.add(action);
    }
  });
  if (!isUpload && counts.sourceFiles === 0 && sides.remote.kind === 'hub') {
    throw new HoldfastError('host_file_not_found', `No machine has sent ${locationText(sides.remote)}.`);
  }
  return counts;
}

async function decide(pair: Pair, rules: CompareRules, tally: Tally): Promise<SyncAction | null> {
  try {
    return await actionFor(pair, rules);
  } catch (error) {
    const path = pair.source?.path ?? pair.destination?.path;
    if (path === undefined || !isOfOneFile(error)) throw error;
    tally.fail(path, error);
    return null;
  }
}

/** Transfers come before removals: whenever it ends, the destination has lost nothing that it was to keep. */
async function carryOut(work: SyncWork, isUpload: boolean): Promise<void> {
  const folders = new LocalFolders(work.root);
  await (isUpload ? sendAll(work) : fetchAll(work, folders));
  if (work.blocked === null) return;
  if (isUpload) await removeRemote(work);
  else {
    for (const action of work.plan.actions({ kinds: ['remove'] })) await removeLocal(work, folders, action);
  }
  const again = { ...work, blocked: null };
  for (const action of work.blocked) {
    await (isUpload ? sendOne(again, action) : fetchOne(again, folders, action));
  }
}

function removalQuestion(removals: number, { destination }: Sides): string {
  return `Remove ${counted(removals, 'file')} from ${printable(locationText(destination))} that the source does not have?`;
}

function tell(
  { output, globals }: CommandContext,
  sides: Sides,
  plan: PlanStore,
  tally: Tally,
  isDryRun: boolean,
): void {
  const planned = {
    transfers: plan.totals({ kinds: ['create', 'replace'] }),
    touches: plan.totals({ kinds: ['touch'] }).count,
    removals: plan.totals({ kinds: ['remove'] }).count,
  };
  const isListed = isDryRun || globals.flag('verbose');
  const summary: CliOutput<'sync'> = {
    dry_run: isDryRun,
    source: locationText(sides.source),
    destination: locationText(sides.destination),
    unchanged: tally.unchanged,
    transferred: isDryRun ? planned.transfers.count : tally.transferred,
    bytes: isDryRun ? planned.transfers.bytes : tally.bytes,
    touched: isDryRun ? planned.touches : tally.touched,
    removed: isDryRun ? planned.removals : tally.removed,
    skipped: tally.skipped,
    failed_count: tally.failedCount,
    failed: tally.failed,
    ...(isListed && output.mode === 'json'
      ? {
          actions: [...actionsOf(plan)].map(({ kind, file }) => ({
            action: kind,
            path: file.path,
            bytes: file.size,
          })),
        }
      : {}),
  };
  output.result('sync', summary, () => {
    if (isListed) {
      for (const { kind, file } of actionsOf(plan)) output.line(`${kind}\t${printable(file.path)}`);
    }
    output.note(summaryLine(summary));
  });
}

function* actionsOf(plan: PlanStore): Generator<SyncAction> {
  yield* plan.actions({ kinds: ['create', 'replace', 'touch', 'remove'] });
}

function summaryLine(summary: CliOutput<'sync'>): string {
  const parts = [
    `${counted(summary.transferred, 'file')} (${humanBytes(summary.bytes)}) ${summary.dry_run ? 'to transfer' : 'transferred'}`,
    ...(summary.touched === 0
      ? []
      : [`${summary.touched} with the time or permissions ${summary.dry_run ? 'to set' : 'set'}`]),
    ...(summary.removed === 0 ? [] : [`${summary.removed} ${summary.dry_run ? 'to remove' : 'removed'}`]),
    `${summary.unchanged} unchanged`,
    ...(summary.skipped === 0 ? [] : [`${summary.skipped} skipped`]),
    ...(summary.failed_count === 0 ? [] : [`${summary.failed_count} failed`]),
  ];
  return `${summary.dry_run ? 'dry run: ' : ''}${parts.join(', ')}`;
}
