import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ThrottledReports } from './throttled-reports.ts';

describe('ThrottledReports', () => {
  let reports: ThrottledReports;
  let told: string[];
  const report = (subject: string, text: string): void => reports.report(subject, () => told.push(text));
  beforeEach(() => {
    vi.useFakeTimers();
    reports = new ThrottledReports();
    told = [];
  });
  afterEach(() => {
    reports[Symbol.dispose]();
    vi.useRealTimers();
  });

  it('tells the first one at once, and then the newest one every quarter of a second', () => {
    for (let num = 0; num < 10; num += 1) report('a', `a${num}`);
    expect(told).toEqual(['a0']);
    vi.advanceTimersByTime(250);
    expect(told).toEqual(['a0', 'a9']);
    report('a', 'a10');
    vi.advanceTimersByTime(249);
    expect(told).toEqual(['a0', 'a9']);
    vi.advanceTimersByTime(1);
    expect(told).toEqual(['a0', 'a9', 'a10']);
  });

  it('is at most four times a second for each, whatever the others do', () => {
    for (let time = 0; time < 1000; time += 10) {
      for (const subject of ['a', 'b']) report(subject, subject);
      vi.advanceTimersByTime(10);
    }
    expect(told.filter((text) => text === 'a').length).toBeLessThanOrEqual(5);
    expect(told.filter((text) => text === 'b').length).toBe(told.filter((text) => text === 'a').length);
  });

  it('tells nothing of what has ended', () => {
    report('a', 'first');
    report('a', 'second');
    reports.end('a');
    vi.advanceTimersByTime(1000);
    expect(told).toEqual(['first']);
  });

  it('is ready at once again after a pause', () => {
    report('a', 'first');
    vi.advanceTimersByTime(1000);
    report('a', 'second');
    expect(told).toEqual(['first', 'second']);
  });
});
