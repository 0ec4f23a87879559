import type { NewPiece, PieceAnswer } from '@holdfast/catalog/uploads';

/** Pieces of one transaction at most: the others wait for the next one, so that none takes long. */
const MOST_AT_ONCE = 500;

interface Waiting {
  piece: NewPiece;
  resolve: (answer: PieceAnswer) => void;
  reject: (error: unknown) => void;
}

/** Commits received pieces: whatever has gathered while one transaction ran goes into the next, however many there are. */
export class PieceCommits {
  readonly #commit: (pieces: readonly NewPiece[]) => Promise<PieceAnswer[]>;
  #waiting: Waiting[] = [];
  #isRunning = false;

  /** @param commit writes pieces in one transaction; one answer each, in order */
  constructor(commit: (pieces: readonly NewPiece[]) => Promise<PieceAnswer[]>) {
    this.#commit = commit;
  }

  /** Resolves when the piece is committed; rejects when the transaction that it went into failed. */
  add(piece: NewPiece): Promise<PieceAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<PieceAnswer>();
    this.#waiting.push({ piece, resolve, reject });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    await Promise.resolve(); // all that came in this turn of the loop go together
    while (this.#waiting.length > 0) {
      const group = this.#waiting.slice(0, MOST_AT_ONCE);
      this.#waiting = this.#waiting.slice(group.length);
      await this.#commitGroup(group);
    }
    this.#isRunning = false;
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const answers = await this.#commit(group.map(({ piece }) => piece));
      for (const [index, { resolve, reject }] of group.entries()) {
        const answer = answers[index];
        if (answer === undefined) reject(new Error('the catalog left a piece unanswered'));
        else resolve(answer);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
}
