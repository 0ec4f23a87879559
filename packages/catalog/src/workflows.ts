import { randomUUID } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Selectable } from 'kysely';
import { fromMillis } from './columns.ts';
import { violationOf } from './database-error.ts';
import type { CatalogDatabase } from './database.ts';
import type { Architecture, BootMode, InstallMethod, WorkflowsTable } from './tables/workflows-table.ts';

/** What a node boots. */
export interface Workflow {
  id: string;
  /** Unique. */
  name: string;
  installMethod: InstallMethod;
  kernelPath: string | null;
  initrdPath: string | null;
  cmdline: string | null;
  bootUrl: string | null;
  architecture: Architecture;
  bootMode: BootMode;
  createdAt: Date;
  updatedAt: Date;
}

export interface NewWorkflow {
  id?: string;
  name: string;
  installMethod: InstallMethod;
  kernelPath?: string | null;
  initrdPath?: string | null;
  cmdline?: string | null;
  bootUrl?: string | null;
  architecture: Architecture;
  bootMode: BootMode;
}

/** Fields that are left out stay as they are. */
export type WorkflowPatch = Partial<Omit<NewWorkflow, 'id'>>;

export class Workflows {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** All workflows, by name. */
  async list(): Promise<Workflow[]> {
    const rows = await this.#database.db.selectFrom('workflows').selectAll().orderBy('name').execute();
    return rows.map(toWorkflow);
  }

  async get(id: string): Promise<Workflow | null> {
    const row = await this.#database.db
      .selectFrom('workflows')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toWorkflow(row);
  }

  /** @throws HoldfastError `name_taken` */
  async insert(workflow: NewWorkflow): Promise<Workflow> {
    const now = Date.now();
    try {
      const row = await this.#database.db
        .insertInto('workflows')
        .values({
          id: workflow.id ?? randomUUID(),
          name: workflow.name,
          install_method: workflow.installMethod,
          kernel_path: workflow.kernelPath ?? null,
          initrd_path: workflow.initrdPath ?? null,
          cmdline: workflow.cmdline ?? null,
          boot_url: workflow.bootUrl ?? null,
          architecture: workflow.architecture,
          boot_mode: workflow.bootMode,
          created_at: now,
          updated_at: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return toWorkflow(row);
    } catch (error) {
      throw refusal(error, workflow.name);
    }
  }

  /**
   * @returns the workflow as it is now; null when there is none with this id
   * @throws HoldfastError `name_taken`
   */
  async update(id: string, patch: WorkflowPatch): Promise<Workflow | null> {
    try {
      const row = await this.#database.db
        .updateTable('workflows')
        .set({
          name: patch.name,
          install_method: patch.installMethod,
          kernel_path: patch.kernelPath,
          initrd_path: patch.initrdPath,
          cmdline: patch.cmdline,
          boot_url: patch.bootUrl,
          architecture: patch.architecture,
          boot_mode: patch.bootMode,
          updated_at: Date.now(),
        })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      return row === undefined ? null : toWorkflow(row);
    } catch (error) {
      throw refusal(error, patch.name ?? '');
    }
  }

  /**
   * Removes a workflow. With `force` the nodes that refer to it are left without one.
   * @returns false when there is none with this id
   * @throws HoldfastError `conflict` when nodes refer to it and `force` is not given
   */
  async remove(id: string, options: { force?: boolean } = {}): Promise<boolean> {
    const { db, dialect } = this.#database;
    return await db.transaction().execute(async (trx) => {
      // Locked, because a node that takes the workflow up between counting and removing must wait.
      const workflow = await trx
        .selectFrom('workflows')
        .select('name')
        .where('id', '=', id)
        .$if(dialect === 'postgres', (query) => query.forUpdate())
        .executeTakeFirst();
      if (workflow === undefined) return false;
      const { count } = await trx
        .selectFrom('nodes')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('workflow_id', '=', id)
        .executeTakeFirstOrThrow();
      if (count > 0 && options.force !== true) {
        throw new HoldfastError(
          'conflict',
          `The workflow "${workflow.name}" is used by ${count} ${count === 1 ? 'node' : 'nodes'}. ` +
            'Give them another workflow first, or remove it with force.',
        );
      }
      if (count > 0) {
        await trx
          .updateTable('nodes')
          .set({ workflow_id: null, updated_at: Date.now() })
          .where('workflow_id', '=', id)
          .execute();
      }
      await trx.deleteFrom('workflows').where('id', '=', id).execute();
      return true;
    });
  }
}

function toWorkflow(row: Selectable<WorkflowsTable>): Workflow {
  return {
    id: row.id,
    name: row.name,
    installMethod: row.install_method,
    kernelPath: row.kernel_path,
    initrdPath: row.initrd_path,
    cmdline: row.cmdline,
    bootUrl: row.boot_url,
    architecture: row.architecture,
    bootMode: row.boot_mode,
    createdAt: fromMillis(row.created_at),
    updatedAt: fromMillis(row.updated_at),
  };
}

function refusal(error: unknown, name: string): unknown {
  if (violationOf(error)?.column !== 'workflows.name') return error;
  const message = `There is already a workflow named "${name}". Choose another name.`;
  return new HoldfastError('name_taken', message, { cause: error, errors: [{ field: 'name', message }] });
}
