/** Text that may come from anywhere, without what would move a terminal's cursor or is not allowed in XML. */
export const printable = (text: string): string =>
  text.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\ufffe\uffff]/gu, '�');
