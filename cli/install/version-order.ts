/**
 * Less than 0 where version `a` comes before `b`, more than 0 where it comes after, as semver.org orders them.
 * What is no version comes before all that are.
 */
export const compareVersions = (a: string, b: string): number => {
  const [one, other] = [parse(a), parse(b)];
  if (one === undefined || other === undefined)
    return Number(one !== undefined) - Number(other !== undefined);
  for (const [index, number] of one.numbers.entries()) {
    const difference = number - (other.numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return comparePreReleases(one.preRelease, other.preRelease);
};

const parse = (text: string): { numbers: number[]; preRelease: string[] } | undefined => {
  const match = /^v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?$/.exec(text);
  if (match === null) return undefined;
  return { numbers: match.slice(1, 4).map(Number), preRelease: match[4]?.split('.') ?? [] };
};

/** A release comes after its pre-releases; numbers are compared as such and come before words. */
const comparePreReleases = (one: string[], other: string[]): number => {
  if (one.length === 0 || other.length === 0) return other.length - one.length;
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const [left, right] = [one[index], other[index]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (left === right) continue;
    const numeric = [left, right].map((part) => /^\d+$/.test(part));
    if (numeric[0] && numeric[1]) return Number(left) - Number(right);
    if (numeric[0] !== numeric[1]) return numeric[0] ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return 0;
};
