/**
 * Cuts a list as the API server sends it, `{"kind":…,"metadata":{…},"items":[{…},…]}`, into its items while it
 * arrives, so that a list of tens of MB is never in memory as a whole. The bytes are only looked at for quotes,
 * brackets and braces; what is between them is left to JSON.parse.
 */
export class ListSplitter {
  readonly #item: (json: string) => void;
  /** What is around the items. */
  #envelope = '';
  /** The beginning of what a later chunk continues, of an item or of the envelope. */
  #rest: Uint8Array[] = [];
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Within the brackets of `items`. */
  #inItems = false;

  /** `item` gets the text of each. */
  constructor(item: (json: string) => void) {
    this.#item = item;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
        continue;
      }
      if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        this.#depth++;
        if (this.#depth === 2 && byte === OPEN_BRACKET && !this.#inItems) {
          this.#envelope += this.#take(chunk, from, at + 1);
          from = at + 1;
          this.#inItems = ITEMS_KEY.test(this.#envelope);
        }
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        this.#depth--;
        if (!this.#inItems) continue;
        if (this.#depth === 1) {
          // Nothing but white space is left.
          this.#take(chunk, from, at);
          from = at;
          this.#inItems = false;
        } else if (this.#depth === 2) {
          this.#item(this.#take(chunk, from, at + 1));
          from = at + 1;
        }
      } else if (byte === COMMA && this.#inItems && this.#depth === 2) {
        this.#take(chunk, from, at);
        from = at + 1;
      }
    }
    // A copy: the chunk's memory may be used again.
    if (from < chunk.length) this.#rest.push(chunk.slice(from));
  }

  /** The object around the items, without them. Throws a SyntaxError when the list was not whole. */
  end(): unknown {
    this.#envelope += this.#take(new Uint8Array(), 0, 0);
    return JSON.parse(this.#envelope);
  }

  #take(chunk: Uint8Array, from: number, to: number): string {
    const last = chunk.subarray(from, to);
    if (this.#rest.length === 0) return decoder.decode(last);
    const whole = Buffer.concat([...this.#rest, last]);
    this.#rest = [];
    return decoder.decode(whole);
  }
}

const decoder = new TextDecoder();
const ITEMS_KEY = /"items"\s*:\s*\[$/;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
