/**
 * What the suite holds a plugin to, by the ids that its cases name. `must`, `should` and `may` are the
 * specification's words (CNI SPEC.md 1.1.0 and CONVENTIONS.md); `practice` is what the reference library
 * does beyond it and runtimes have come to depend on.
 */
export interface Requirement {
  id: RequirementId;
  level: 'must' | 'should' | 'may' | 'practice';
  text: string;
}

type Row = readonly [id: string, level: Requirement['level'], text: string];

const rows = [
  ['P1', 'must', 'success exits with 0, failure with another code'],
  ['P2', 'should', 'a failure prints one error object on stdout'],
  ['P3', 'should', 'never a result and an error both'],
  ['P4', 'may', 'stderr is for logs; a success writes nothing there'],
  ['P5', 'must', 'works in the netns of the runtime, from any directory, with no environment but CNI_*'],
  ['P6', 'practice', 'the executable may be replaced while calls are running'],
  ['P7', 'practice', 'without CNI_COMMAND: an about text on stderr, exit code 0'],
  ['P8', 'practice', 'an unknown CNI_COMMAND is error 4'],
  ['E1', 'must', 'the variables that each command requires'],
  ['E2', 'must', 'missing variables are error 4, which names all of them'],
  ['E3', 'practice', 'CNI_PATH is needed only where another plugin is called'],
  ['E4', 'must', 'CNI_CONTAINERID: a letter or digit, then letters, digits, "_", "." and "-"'],
  ['E5', 'practice', 'CNI_IFNAME: at most 15 bytes, not "." or "..", no "/", ":" or white space'],
  ['E6', 'must', 'the network name: a letter or digit, then letters, digits, "_", "." and "-"'],
  ['E7', 'must', 'CNI_ARGS: pairs of key and value; unknown keys only with IgnoreUnknown'],
  ['E8', 'practice', "CNI_NETNS must not be the plugin's own, unless CNI_NETNS_OVERRIDE says so"],
  ['I1', 'must', 'a configuration that is no JSON, invalid or unsupported is refused with its code'],
  ['I2', 'must', 'an unsupported cniVersion is error 1; an absent one means the oldest'],
  ['I3', 'must', 'CHECK needs 0.4.0; GC and STATUS need 1.1.0'],
  ['I4', 'may', "the specification's own keys are never refused as unknown"],
  ['I5', 'may', 'cniVersions of a list does not disturb a plugin'],
  ['A1', 'must', "ADD makes the interface and prints a result in the configuration's version"],
  ['A2', 'must', 'ADD of an interface that exists fails and leaves nothing'],
  ['A3', 'must', 'a chained plugin passes prevResult on'],
  ['A4', 'must', 'a container may be added again under another interface name'],
  ['A5', 'must', 'different containers may be added at once'],
  ['A6', 'should', "after a delegate's failure the plugin takes back its own work"],
  ['D1', 'must', 'DEL removes what ADD made, in any state of decay'],
  ['D2', 'must', 'DEL again, or of an unknown container, succeeds and prints nothing'],
  ['D3', 'must', 'DEL without a netns releases all that is not in it'],
  ['D4', 'must', 'DEL does not need prevResult'],
  ['D5', 'must', 'DEL always reaches the delegate, and its error is reported'],
  ['C1', 'must', 'CHECK compares the container with prevResult, which it needs'],
  ['C2', 'must', 'CHECK accepts what later plugins of the chain have changed'],
  ['C3', 'should', 'CHECK looks at rules, shaping and reservations too'],
  ['C4', 'must', 'CHECK succeeds right after ADD'],
  ['C5', 'should', 'CHECK reaches the delegate, and prints nothing when all is well'],
  ['S1', 'must', 'STATUS tells whether ADD can be served'],
  ['S2', 'must', 'STATUS fails when the delegate does'],
  ['S3', 'must', 'nothing depends on STATUS having been called'],
  ['G1', 'should', 'GC frees what is not in cni.dev/valid-attachments'],
  ['G2', 'must', 'GC reaches the delegate'],
  ['G3', 'should', 'GC goes on after a failure and reports it; it prints nothing when all is well'],
  ['G4', 'practice', 'GC without the list frees nothing; with an empty one, everything'],
  ['G5', 'must', 'GC frees only what belongs to its network'],
  ['G6', 'practice', 'GC beside ADDs takes nothing from them'],
  ['V1', 'must', 'VERSION prints the supported versions, and waits for no input'],
  ['T1', 'practice', 'what may pass by itself is error 11'],
  ['R1', 'practice', 'a result in 0.1.0 and 0.2.0 has one address for each family'],
  ['R2', 'practice', 'a prevResult of 0.2.0 is understood'],
  ['R3', 'practice', 'a result before 1.0.0 has the family of each address, and no later key'],
  ['R4', 'practice', "a prevResult without cniVersion has the configuration's"],
  ['R5', 'must', 'addresses keep their host bits; interfaces in the container have its sandbox'],
  ['R6', 'must', 'an IPAM result has no interfaces'],
  ['L1', 'must', 'a delegate is looked for on CNI_PATH alone'],
  ['L2', 'must', 'a delegate gets the same environment and the whole configuration'],
  ['L3', 'must', "a delegate's stderr is passed on"],
  ['L4', 'must', 'DEL, CHECK, GC and STATUS are delegated, and errors passed on'],
  ['L5', 'must', 'an ADD that fails after its delegate has succeeded releases the address'],
  ['L6', 'practice', 'what a network without "ipam" means to each plugin'],
] as const satisfies readonly Row[];

export type RequirementId = (typeof rows)[number][0];

/** All requirements, in the order of the documents. */
export const requirements: readonly Requirement[] = rows.map(([id, level, text]) => ({ id, level, text }));
