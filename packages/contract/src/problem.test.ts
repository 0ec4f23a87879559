import { describe, expect, it } from 'vitest';
import { backendCreate } from './backends.ts';
import { errorCatalogue, HoldfastError, isErrorCode } from './errors.ts';
import { batchDelete } from './files.ts';
import { fieldProblems, problem, toProblem } from './problem.ts';

function refused(schema: typeof backendCreate | typeof batchDelete, value: unknown) {
  const { error } = schema.safeParse(value);
  if (error === undefined) throw new Error('The value was accepted.');
  return error;
}

describe('toProblem', () => {
  it('carries the sentence, code and fields of a HoldfastError', () => {
    const errors = [{ field: 'name', message: 'is taken' }];
    const error = new HoldfastError('name_taken', 'Another backend is called "a". Choose another name.', {
      errors,
    });
    expect(toProblem(error, 'req-1')).toEqual({
      type: '/docs#error-name_taken',
      title: 'The name is taken',
      status: 409,
      detail: 'Another backend is called "a". Choose another name.',
      code: 'name_taken',
      errors,
      request_id: 'req-1',
    });
  });

  it('names the fields that a schema refused', () => {
    const answer = toProblem(
      refused(backendCreate, { name: '', type: 'local', config: { rot: '/srv' }, extra: 1 }),
    );
    expect(answer).toMatchObject({ status: 422, code: 'validation_failed' });
    expect(answer.errors).toEqual([
      { field: 'name', message: 'must not be empty' },
      { field: 'config.root', message: 'is required' },
      { field: 'config.rot', message: 'is not a known field' },
      { field: 'extra', message: 'is not a known field' },
    ]);
    expect(answer.detail).toBe(
      'The request was refused: `name` must not be empty; `config.root` is required; ' +
        '`config.rot` is not a known field; `extra` is not a known field.',
    );
  });

  it('names an entry of an array by its index, and the body as a whole', () => {
    expect(fieldProblems(refused(batchDelete, { paths: ['/a', ''] }))[0]?.field).toBe('paths.1');
    expect(fieldProblems(refused(batchDelete, undefined))).toEqual([
      { field: 'body', message: 'is required' },
    ]);
  });

  it('keeps the list in the sentence short and the list of fields whole', () => {
    const answer = toProblem(refused(batchDelete, { paths: Array.from({ length: 9 }, () => '') }));
    expect(answer.errors).toHaveLength(9);
    expect(answer.detail).toContain('(and 4 more)');
  });

  it.each([new Error('password=hunter2'), 'hunter2', undefined, { message: 'hunter2' }])(
    'never shows the text of an unexpected failure: %j',
    (thrown) => {
      const answer = toProblem(thrown, 'req-2');
      expect(answer).toMatchObject({ status: 500, code: 'internal', request_id: 'req-2' });
      expect(answer.detail).toContain('req-2');
      expect(JSON.stringify(answer)).not.toContain('hunter2');
    },
  );

  it('answers in the form of the schema for every code', () => {
    for (const code of Object.keys(errorCatalogue).filter(isErrorCode)) {
      const answer = toProblem(new HoldfastError(code, 'It happened.'));
      expect(problem.parse(answer)).toEqual(answer);
      expect(answer.status).toBe(errorCatalogue[code].status);
    }
  });

  it('does not take inherited names for codes', () => {
    expect(isErrorCode('toString')).toBe(false);
    expect(isErrorCode('not_found')).toBe(true);
  });
});
