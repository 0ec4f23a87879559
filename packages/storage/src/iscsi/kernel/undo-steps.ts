/**
 * Steps that undo what was done, run in the opposite order when it is disposed. One that fails is told on standard
 * error and does not keep the others from being run, nor hides why they are run.
 */
export class UndoSteps implements AsyncDisposable {
  #steps: (() => Promise<void>)[] = [];

  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }

  /** Hands the steps over to a new owner; disposing this one does nothing any more. */
  move(): UndoSteps {
    const moved = new UndoSteps();
    moved.#steps = this.#steps;
    this.#steps = [];
    return moved;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      await step().catch((error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      });
    }
  }
}
