/** Where a text stops being JSON: line and column count from 1, columns in UTF-16 units. */
export interface JsonError {
  line: number;
  column: number;
  /** `expected "," or "}", found "x"`. */
  problem: string;
}

/** Finds the first thing that is wrong, for a person who edits the text; undefined when it is JSON (RFC 8259). */
export const findJsonError = (text: string): JsonError | undefined => {
  const reader = new JsonReader(text);
  try {
    reader.document();
    return undefined;
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error;
    const before = text.slice(0, error.at);
    const line = before.split('\n').length;
    return { line, column: error.at - before.lastIndexOf('\n'), problem: error.message };
  }
};

class Unexpected extends Error {
  readonly at: number;

  constructor(at: number, problem: string) {
    super(problem);
    this.at = at;
  }
}

/** Far more than a list of nodes has, and far less than the stack. */
const MAX_DEPTH = 200;

class JsonReader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected('expected the end');
  }

  #value(): void {
    this.#space();
    if (++this.#depth > MAX_DEPTH) throw this.#unexpected('nested too deeply');
    const first = this.#text[this.#at];
    if (first === '{') this.#members('}', () => this.#member());
    else if (first === '[') this.#members(']', () => this.#value());
    else if (first === '"') this.#string();
    else if (!this.#take(NUMBER) && !this.#take(LITERAL)) throw this.#unexpected('expected a value');
    this.#depth -= 1;
  }

  #members(close: string, member: () => void): void {
    this.#at += 1;
    this.#space();
    if (this.#skip(close)) return;
    do {
      member();
      this.#space();
    } while (this.#skip(','));
    if (!this.#skip(close)) throw this.#unexpected(`expected "," or "${close}"`);
  }

  #member(): void {
    this.#space();
    if (this.#text[this.#at] !== '"') throw this.#unexpected('expected a key in double quotes');
    this.#string();
    this.#space();
    if (!this.#skip(':')) throw this.#unexpected('expected ":"');
    this.#value();
  }

  #string(): void {
    const start = this.#at;
    this.#take(STRING_START);
    if (this.#skip('"')) return;
    if (this.#at >= this.#text.length) throw new Unexpected(start, 'this string has no end');
    if (this.#text[this.#at] === '\\') throw this.#unexpected('not an escape');
    throw new Unexpected(this.#at, 'a control character, such as a line break, inside a string');
  }

  #space(): void {
    this.#take(SPACE);
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #take(token: RegExp): boolean {
    token.lastIndex = this.#at;
    if (!token.test(this.#text)) return false;
    this.#at = token.lastIndex;
    return true;
  }

  #unexpected(expectation: string): Unexpected {
    WORD.lastIndex = this.#at;
    const [word] = WORD.exec(this.#text) ?? [];
    const found = word === undefined ? 'the end of the text' : JSON.stringify(word);
    return new Unexpected(this.#at, `${expectation}, found ${found}`);
  }
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])/y;
const LITERAL = /(?:true|false|null)(?!\w)/y;
/** A string up to its closing quote, or to what may not be in one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON's grammar excludes just these.
const STRING_START = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
const WORD = /\w{1,20}|[^\s]/uy;
