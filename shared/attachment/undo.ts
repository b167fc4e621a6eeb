import { CniError, toCniError } from '../cni/errors.ts';

type Step = () => void | Promise<void>;

/** The steps that take an ADD's work back, registered before or right after the work they belong to. */
export class Undo {
  readonly #steps: { what: string; run: Step }[] = [];

  /** `what` completes the sentence "could not …" in an error's details. */
  add(what: string, run: Step): void {
    this.#steps.push({ what, run });
  }

  /** Runs all steps, last first, and goes on after a failure; returns what could not be done. */
  async run(): Promise<string[]> {
    const failures: string[] = [];
    for (const { what, run } of this.#steps.splice(0).reverse()) {
      try {
        await run();
      } catch (error) {
        failures.push(`could not ${what}: ${toCniError(error).message}`);
      }
    }
    return failures;
  }
}

/**
 * Runs `body`; when it throws, takes back what it registered and throws the same error, with what
 * could not be taken back in its details.
 */
export const withUndo = async <T>(body: (undo: Undo) => Promise<T>): Promise<T> => {
  const undo = new Undo();
  try {
    return await body(undo);
  } catch (thrown) {
    const error = toCniError(thrown);
    const failures = await undo.run();
    if (failures.length === 0) throw error;
    const details = [error.details, `While undoing: ${failures.join('; ')}.`].filter(Boolean).join(' ');
    throw new CniError(error.code, error.message, { details, cause: error });
  }
};
