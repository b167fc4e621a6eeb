/** An element as it was read; `content` is the text in it, entities replaced. */
export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  content: string;
}

/**
 * Reads a small XML document strictly and returns its elements, in the order of their ends. Throws an Error
 * where it is not well-formed; knows no comments, DTDs or CDATA.
 */
export const elementsOf = (xml: string): XmlElement[] => {
  // XML 1.0, production 2.
  const forbidden = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u.exec(xml);
  if (forbidden !== null)
    throw new Error(`U+${forbidden[0].codePointAt(0)?.toString(16)} is not allowed in XML`);
  const body = xml.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '');
  const tag = /<(\/?)([a-z]+)((?:\s+[A-Za-z:-]+="[^"<]*")*)\s*(\/?)>/y;
  const elements: XmlElement[] = [];
  const open: XmlElement[] = [];
  let at = 0;
  while (at < body.length) {
    if (body[at] !== '<') {
      const end = body.indexOf('<', at);
      const text = replaceEntities(body.slice(at, end < 0 ? undefined : end));
      const element = open.at(-1);
      if (element !== undefined) element.content += text;
      else if (text.trim() !== '') throw new Error(`text outside of the document: ${text}`);
      at = end < 0 ? body.length : end;
      continue;
    }
    tag.lastIndex = at;
    const match = tag.exec(body);
    if (match === null) throw new Error(`no tag: ${body.slice(at, at + 60)}`);
    const [whole, closing, name = '', attributes = '', empty] = match;
    at += whole.length;
    if (closing) {
      const element = open.pop();
      if (element?.name !== name) throw new Error(`</${name}> closes ${element?.name}`);
      elements.push(element);
      continue;
    }
    const pairs = [...attributes.matchAll(/([A-Za-z:-]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [
      key,
      replaceEntities(value),
    ]);
    if (new Set(pairs.map(([key]) => key)).size < pairs.length)
      throw new Error(`an attribute twice: ${whole}`);
    const element = { name, attributes: Object.fromEntries(pairs), content: '' };
    if (empty) elements.push(element);
    else open.push(element);
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)?.name}> is not closed`);
  return elements;
};

const replaceEntities = (text: string): string =>
  text.replace(/&([^;]*;)?/g, (entity) => {
    const character = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }[entity];
    if (character === undefined) throw new Error(`not an entity: ${entity}`);
    return character;
  });
