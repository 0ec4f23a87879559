import { MAX_PARTS, PartPlan } from '../part-plan.ts';

/** A part of an upload that is cut at places of our own. Positions in bytes of the whole. */
export interface GridPart {
  /** From 1 on. */
  number: number;
  start: number;
  /** Behind its last byte, unless the whole ends before. */
  end: number;
}

/** Parts of one size, one behind the other. */
interface Run {
  firstNumber: number;
  start: number;
  count: number;
  partBytes: number;
}

/** Where an upload is cut into parts: by its size where that was known at its beginning, else into parts that grow. */
export class PartGrid {
  readonly #runs: Run[] = [];
  static #growing: PartGrid | undefined;

  private constructor(plan: PartPlan) {
    let start = 0;
    for (let number = 1; number <= MAX_PARTS; number += 1) {
      const partBytes = plan.partBytes(number);
      const last = this.#runs.at(-1);
      if (last?.partBytes === partBytes) last.count += 1;
      else this.#runs.push({ firstNumber: number, start, count: 1, partBytes });
      start += partBytes;
    }
  }

  /** @param size bytes of the whole, as it was known when the upload began */
  static for(size: number | null): PartGrid {
    if (size !== null) return new PartGrid(new PartPlan(size));
    PartGrid.#growing ??= new PartGrid(new PartPlan());
    return PartGrid.#growing;
  }

  /** The part that holds a byte. @throws HoldfastError `too_large` behind the last part that there can be */
  at(position: number): GridPart {
    for (const run of this.#runs) {
      const index = Math.floor((position - run.start) / run.partBytes);
      if (index < run.count) return partOf(run, index);
    }
    // One part too many: the plan has the words for it.
    new PartPlan().partBytes(MAX_PARTS + 1);
    throw new RangeError(`There is no part for byte ${position}.`);
  }

  /** A part by its number; undefined when there is none. */
  part(number: number): GridPart | undefined {
    const run = this.#runs.findLast(({ firstNumber }) => firstNumber <= number);
    const index = number - (run?.firstNumber ?? 0);
    return run === undefined || index >= run.count ? undefined : partOf(run, index);
  }

  /** The parts of a whole of this size, in order. */
  *parts(size: number): Generator<GridPart> {
    for (let start = 0; start < size;) {
      const part = this.at(start);
      yield { ...part, end: Math.min(part.end, size) };
      start = part.end;
    }
  }
}

function partOf({ firstNumber, start: runStart, partBytes }: Run, index: number): GridPart {
  const start = runStart + index * partBytes;
  return { number: firstNumber + index, start, end: start + partBytes };
}
