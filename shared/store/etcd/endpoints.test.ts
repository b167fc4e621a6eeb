import { expect, test } from 'vitest';
import { Endpoints } from './endpoints.ts';

const make = () => {
  const clock = { now: 0 };
  return { clock, endpoints: new Endpoints(['a', 'b', 'c'], () => clock.now) };
};

test('the one that answered is kept', () => {
  const { endpoints } = make();
  expect(endpoints.inOrder()).toEqual(['a', 'b', 'c']);
  endpoints.succeeded('b');
  expect(endpoints.inOrder()).toEqual(['b', 'a', 'c']);
});

test('one that failed goes last until its time has passed, which is longer each time', () => {
  const { clock, endpoints } = make();
  endpoints.succeeded('a');
  endpoints.failed('a');
  expect(endpoints.inOrder()).toEqual(['b', 'c', 'a']);
  clock.now = 1001;
  expect(endpoints.inOrder()).toEqual(['a', 'b', 'c']);
  endpoints.failed('a');
  clock.now += 1500;
  expect(endpoints.inOrder()).toEqual(['b', 'c', 'a']);
  clock.now += 501;
  expect(endpoints.inOrder()).toEqual(['a', 'b', 'c']);
});

test('when all failed, the one whose time ends first is tried first; none is given up', () => {
  const { clock, endpoints } = make();
  for (const url of ['b', 'a', 'c']) {
    endpoints.failed(url);
    clock.now += 10;
  }
  expect(endpoints.inOrder()).toEqual(['b', 'a', 'c']);
  endpoints.succeeded('c');
  expect(endpoints.inOrder()).toEqual(['c', 'b', 'a']);
});

test('the time is 30 s at most', () => {
  const { clock, endpoints } = make();
  for (let failure = 0; failure < 100; failure++) endpoints.failed('a');
  clock.now = 30_001;
  expect(endpoints.inOrder()).toEqual(['a', 'b', 'c']);
});
