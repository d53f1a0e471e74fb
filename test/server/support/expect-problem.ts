/** What every refusal of every route looks like. */
import { expect } from 'vitest';
import type { Answer, Problem } from './server.ts';

export function expectProblem(answer: Answer, status: number, expected: Partial<Problem> = {}): Problem {
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(answer.headers['cache-control']).toBe('no-store');
  const problem = answer.json();
  expect(problem).toMatchObject({ status, ...expected });
  expect(answer.status).toBe(status);
  expect(problem.type).toBe(`urn:sortition:problem:${problem.code.toLowerCase().replaceAll('_', '-')}`);
  expect(problem.title).not.toBe('');
  expect(problem.detail).not.toBe('');
  return problem;
}
